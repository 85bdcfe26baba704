"""Demosaicing: three colours at every pixel from one."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from pipelines.correlation import box_mean, correlate, mirrored
from pipelines.isp.cfa import color_masks
from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Choice, Parameter, Parameters

_CROSS = ((0, 1, 0), (1, 4, 1), (0, 1, 0))  # / 4: green, bilinear
_SQUARE = ((1, 2, 1), (2, 4, 2), (1, 2, 1))  # / 4: red and blue, bilinear
# Malvar, He and Cutler 2004, figure 2, / 8.
_GREEN = ((0, 0, -1, 0, 0), (0, 0, 2, 0, 0), (-1, 2, 4, 2, -1), (0, 0, 2, 0, 0), (0, 0, -1, 0, 0))
_BESIDE = ((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 4, 5, 4, -1), (0, -1, 0, -1, 0), (0, 0, 0.5, 0, 0))
_ACROSS = ((0, 0, -1.5, 0, 0), (0, 2, 0, 2, 0), (-1.5, 0, 6, 0, -1.5), (0, 2, 0, 2, 0), (0, 0, -1.5, 0, 0))
_SOFTNESS = 1e-3
"""Differences of directions below this (scaled sensor values) are noise: both directions count alike."""


class Demosaic(Stage):
    """Three colours at every pixel, in white-balanced camera colours.

    ``bilinear``; ``malvar``: gradient-corrected linear (Malvar, He and Cutler, ICASSP 2004); ``edge_aware``: green
    along the direction of the smaller gradient, the two blended smoothly (after Hamilton and Adams, US patent
    5,629,734, expired), then red and blue by colour differences. Borders are mirrored, which keeps the CFA's phase.
    """

    name = "demosaic"
    parameters: ClassVar[Parameters] = {
        "method": Choice(("bilinear", "malvar", "edge_aware"), "edge_aware", doc="The algorithm."),
        "chroma_smooth": Parameter(
            0.0,
            1.0,
            0.2,
            unit="fraction",
            doc="Colour differences averaged over 5 px: less false colour. 0 neutral.",
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"chroma_smooth": 0.0}
    takes = "mosaic"
    gives = "camera"

    def apply(self, image: Tensor, shot: Shot, method: str, chroma_smooth: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 3, H, W)."""
        camera = _METHODS[method](image, color_masks(image, shot.cfa))
        green = camera[:, 1:2]
        differences = camera[:, ::2] - green
        red, blue = (green + torch.lerp(differences, box_mean(differences, 5), chroma_smooth)).split(1, dim=1)
        return torch.cat([red, green, blue], dim=1)


def _filtered(image: Tensor, kernel: tuple[tuple[float, ...], ...], scale: float) -> Tensor:
    around = len(kernel) // 2
    return correlate(mirrored(image, around, around), image.new_tensor(kernel) / scale)


def bilinear(mosaic: Tensor, masks: Tensor) -> Tensor:
    """(N, 1, H, W) and (1, 3, H, W) to (N, 3, H, W): each colour the mean of its nearest neighbours."""
    red, green, blue = (mosaic * masks).split(1, dim=1)
    return torch.cat([_filtered(red, _SQUARE, 4), _filtered(green, _CROSS, 4), _filtered(blue, _SQUARE, 4)], dim=1)


def malvar(mosaic: Tensor, masks: Tensor) -> Tensor:
    """As :func:`bilinear`, each corrected by the second difference of the colour that was measured."""
    red, green, blue = masks.split(1, dim=1)
    red_rows = (red.amax(3, keepdim=True)).expand_as(red)
    across = _filtered(mosaic, _ACROSS, 8)
    beside, above = _filtered(mosaic, _BESIDE, 8), _filtered(mosaic, tuple(zip(*_BESIDE, strict=True)), 8)
    # A green pixel in a red row has its red neighbours beside it and its blue ones above and below.
    in_row, in_column = green * red_rows, green * (1.0 - red_rows)
    return torch.cat(
        [
            red * mosaic + in_row * beside + in_column * above + blue * across,
            green * mosaic + (1.0 - green) * _filtered(mosaic, _GREEN, 8),
            blue * mosaic + in_column * beside + in_row * above + red * across,
        ],
        dim=1,
    )


def edge_aware(mosaic: Tensor, masks: Tensor) -> Tensor:
    """As :func:`bilinear`; see :class:`Demosaic`."""
    wide = pad(mosaic, (2, 2, 2, 2), mode="reflect")
    rows, columns = mosaic.shape[-2:]

    def at(down: int, right: int) -> Tensor:
        return wide[..., 2 + down : 2 + down + rows, 2 + right : 2 + right + columns]

    estimates, gradients = [], []
    for down, right in ((0, 1), (1, 0)):
        before, after = at(-down, -right), at(down, right)
        curve = 2.0 * mosaic - at(-2 * down, -2 * right) - at(2 * down, 2 * right)
        estimates.append((before + after) / 2.0 + curve / 4.0)
        gradients.append((before - after).square() + curve.square())
    # Weighted by the inverse gradients, which is smooth, where Hamilton and Adams switch.
    softness = _SOFTNESS**2
    share = (gradients[1] + softness) / (gradients[0] + gradients[1] + 2.0 * softness)
    green_mask = masks[:, 1:2]
    green = green_mask * mosaic + (1.0 - green_mask) * torch.lerp(estimates[1], estimates[0], share)
    red, _, blue = ((mosaic - green) * masks).split(1, dim=1)
    return torch.cat([green + _filtered(red, _SQUARE, 4), green, green + _filtered(blue, _SQUARE, 4)], dim=1)


_METHODS = {"bilinear": bilinear, "malvar": malvar, "edge_aware": edge_aware}
