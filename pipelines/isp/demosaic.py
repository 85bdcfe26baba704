"""Demosaicing: three colours at every pixel from one."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipelines.correlation import box_mean, correlate, mirrored
from pipelines.isp.cfa import color_masks
from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Choice, Parameter, Parameters
from pipelines.pointwise import blended

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
        red, blue = (green + blended(differences, box_mean(differences, 5), chroma_smooth)).split(1, dim=1)
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
    green = _Green.apply(mirrored(mosaic, 2, 2), masks[:, 1:2])  # type: ignore[no-untyped-call]
    tent = mosaic.new_tensor((0.5, 1.0, 0.5))  # the bilinear square is the product of two
    differences = mirrored((mosaic - green) * masks[:, ::2], 1, 1)
    differences = correlate(correlate(differences, tent.view(-1, 1)), tent.view(1, -1))
    red, blue = (green + differences).split(1, dim=1)
    return torch.cat([red, green, blue], dim=1)


class _Green(torch.autograd.Function):
    """Green everywhere from a mosaic with a border of 2 and green's mask, along the smaller gradient."""

    @staticmethod
    def forward(ctx: Any, wide: Tensor, mask: Tensor) -> Tensor:
        differences, curves, estimates, gradients = [], [], [], []
        for far_before, before, here, after, far_after in (_along(wide, -1), _along(wide, -2)):
            difference = before - after
            curve = (2.0 * here).sub_(far_before).sub_(far_after)
            estimates.append((before + after).mul_(0.5).add_(curve, alpha=0.25))
            gradients.append((difference * difference).addcmul_(curve, curve))
            differences.append(difference)
            curves.append(curve)
        # Weighted by the inverse gradients, which is smooth, where Hamilton and Adams switch.
        total = (gradients[0] + gradients[1]).add_(2.0 * _SOFTNESS**2)
        share = gradients[1].add_(_SOFTNESS**2).div_(total)
        contrast = estimates[0].sub_(estimates[1])
        ctx.save_for_backward(mask, total, share, contrast, *differences, *curves)
        return torch.lerp(estimates[1].addcmul_(share, contrast), here, mask)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        mask, total, share, contrast, *saved = ctx.saved_tensors
        rows, columns = gradient.shape[-2:]
        to_wide = gradient.new_zeros(*gradient.shape[:2], rows + 4, columns + 4)
        to_green = gradient * mask
        to_estimate = gradient - to_green
        to_estimates = [to_estimate * share]
        to_estimates.append(to_estimate.sub(to_estimates[0]))
        to_share = to_estimate.mul_(contrast).mul_(2.0).div_(total)  # twice: what follows are derivatives of squares
        to_gradients = [to_share.mul(share).neg_()]
        to_gradients.append(to_share.add_(to_gradients[0]))
        parts = zip((-1, -2), to_estimates, to_gradients, saved[:2], saved[2:], strict=True)
        for dim, to_estimate, to_square, difference, curve in parts:
            far_before, before, here, after, far_after = _along(to_wide, dim)
            to_difference = difference.mul(to_square)
            to_curve = curve.mul(to_square).add_(to_estimate, alpha=0.25)
            before.add_(to_estimate, alpha=0.5).add_(to_difference)
            after.add_(to_estimate, alpha=0.5).sub_(to_difference)
            here.add_(to_curve, alpha=2.0)
            far_before.sub_(to_curve)
            far_after.sub_(to_curve)
        here.add_(to_green)
        return to_wide, None


def _along(wide: Tensor, dim: int) -> list[Tensor]:
    """Views of the five pixels about each along ``dim``, of a picture with a border of 2."""
    inside = wide.narrow(-3 - dim, 2, wide.shape[-3 - dim] - 4)
    return [inside.narrow(dim, shift, wide.shape[dim] - 4) for shift in range(5)]


_METHODS = {"bilinear": bilinear, "malvar": malvar, "edge_aware": edge_aware}
