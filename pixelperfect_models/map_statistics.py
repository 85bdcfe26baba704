"""From a distortion map to a number: regions, statistics and penalties, all differentiable.

Maps hold values in [0, 1] with 0.5 neutral. The *excess* ``2 * map - 1`` is in intensity units: positive where
the test picture has more of the distortion than the reference. Penalties see its positive part, and both directions of
the signed channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf

from pixelperfect_models.channels import CHANNELS, SIGNED_CHANNELS
from pixelperfect_models.errors import UserError, suggest

STATISTICS: tuple[str, ...] = ("mean", "p95", "max")
REGIONS: tuple[str, ...] = ("all", "shadows", "highlights", "edges", "flat")

# ITU-R BT.709 luma weights, as for sRGB primaries.
_LUMA = (0.2126, 0.7152, 0.0722)
# Region borders on sRGB-encoded luma and on the Sobel magnitude (luma units a pixel). 0.25 encoded is about 5 % of
# linear white, where sensor noise dominates; an edge of 0.04 a pixel is a step of 10 of 255.
_SHADOW_BELOW, _HIGHLIGHT_ABOVE, _EDGE_ABOVE = 0.25, 0.75, 0.04


@dataclass(frozen=True)
class Penalty:
    """How much one distortion type is minded.

    Attributes:
        type: a map channel (:data:`pixelperfect_models.channels.CHANNELS`).
        weight: objective units lost per unit of intensity above the tolerance, >= 0.
        above: tolerance, in intensity units [0, 1]; nothing is lost below it.
        statistic: ``mean``, ``p95`` or ``max`` of the positive excess over the region.
        region: ``all``, ``shadows``, ``highlights``, ``edges``, ``flat`` (found in the reference), or ``mask``.
        mask: path of the mask file when ``region`` is ``mask``; white is inside.

    Raises:
        UserError: an unknown name or a value out of range.
    """

    type: str
    weight: float = 1.0
    above: float = 0.0
    statistic: str = "mean"
    region: str = "all"
    mask: Path | None = None

    def __post_init__(self) -> None:
        for key, value, known in (
            ("type", self.type, CHANNELS),
            ("statistic", self.statistic, STATISTICS),
            ("region", self.region, (*REGIONS, "mask")),
        ):
            if value not in known:
                raise UserError(
                    f"penalty {key}: '{value}' is unknown, expected one of {', '.join(known)}{suggest(value, known)}"
                )
        if not self.weight >= 0:
            raise UserError(f"penalty weight of {self.type}: {self.weight} is negative, expected >= 0")
        if not 0 <= self.above <= 1:
            raise UserError(f"penalty tolerance 'above' of {self.type}: {self.above}, expected 0 to 1")
        if (self.region == "mask") != (self.mask is not None):
            raise UserError(f"penalty region of {self.type}: a mask file goes with region 'mask' and only with it")

    @property
    def label(self) -> str:
        """``type/statistic/region``: the name of this penalty in records and tables."""
        return f"{self.type}/{self.statistic}/{self.mask.name if self.mask else self.region}"


def excess(maps: torch.Tensor, channels: Sequence[str] = CHANNELS) -> torch.Tensor:
    """How much more of each distortion the test has, in intensity units: (N, K, H, W) to the same, in [0, 1].

    The positive part of ``2 F - 1``; for signed channels (exposure, contrast, saturation, colour shift) its absolute
    value, since too dark is as wrong as too bright.
    """
    signed = 2.0 * maps - 1.0
    if len(channels) == 1:
        return signed.abs() if channels[0] in SIGNED_CHANNELS else signed.clamp(min=0.0)
    both_ways = torch.tensor([name in SIGNED_CHANNELS for name in channels], device=maps.device).view(-1, 1, 1)
    return torch.where(both_ways, signed.abs(), signed.clamp(min=0.0))


def luma(image: torch.Tensor) -> torch.Tensor:
    """BT.709 luma of an sRGB-encoded picture, (N, 3, H, W) to (N, 1, H, W)."""
    weights = torch.tensor(_LUMA, dtype=image.dtype, device=image.device)
    return torch.einsum("nchw,c->nhw", image, weights).unsqueeze(1)


def region_weight(ref: torch.Tensor, region: str, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The pixels a statistic runs over, from the reference (N, 3, H, W): (N, 1, H, W) of 0 and 1.

    ``edges`` are pixels within two pixels of a Sobel magnitude above 0.04; ``flat`` is everything else. ``mask``
    needs the mask tensor (1, 1, H, W), white inside; its size must agree.

    Raises:
        UserError: the mask's size differs from the picture's, or the region's name is unknown.
    """
    if region == "all":
        return torch.ones_like(ref[:, :1])
    if region == "mask":
        if mask is None or mask.shape[-2:] != ref.shape[-2:]:
            found = None if mask is None else tuple(mask.shape[-2:])
            raise UserError(f"penalty mask: size {found}, expected the picture's {tuple(ref.shape[-2:])}")
        return (mask > 0.5).to(ref).expand(ref.shape[0], -1, -1, -1)
    grey = luma(ref.detach())
    if region == "shadows":
        return (grey < _SHADOW_BELOW).to(ref)
    if region == "highlights":
        return (grey > _HIGHLIGHT_ABOVE).to(ref)
    if region in ("edges", "flat"):
        edge = nnf.max_pool2d((_sobel(grey) > _EDGE_ABOVE).to(ref), 5, stride=1, padding=2)
        return edge if region == "edges" else 1.0 - edge
    raise UserError(f"penalty region: '{region}' is unknown{suggest(region, REGIONS)}")


def _sobel(grey: torch.Tensor) -> torch.Tensor:
    kernel = grey.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    padded = nnf.pad(grey, (1, 1, 1, 1), mode="replicate")
    return nnf.conv2d(padded, torch.stack([kernel, kernel.T]).unsqueeze(1)).square().sum(1, keepdim=True).sqrt()


def statistic(values: torch.Tensor, weight: torch.Tensor | None, name: str) -> torch.Tensor:
    """One number a picture from (N, C, H, W) ``values`` over the pixels where ``weight`` (N, 1, H, W) is 1: (N, C).

    None as weight: over all of them.

    ``p95`` is the mean of the five per cent largest values, which, unlike the bare quantile, has a gradient on more
    than one pixel. A region with no pixel gives 0. Differentiable in ``values``.
    """
    if name not in STATISTICS:
        raise UserError(f"statistic: '{name}' is unknown, expected one of {', '.join(STATISTICS)}")
    if weight is None:
        pixels = values.flatten(2)
        if name == "mean":
            return pixels.mean(2)
        return pixels.amax(2) if name == "max" else _highest_mean(pixels)
    inside = weight.expand_as(values)
    if name == "mean":
        return (values * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1.0)
    if name == "max":
        lowest = torch.where(inside > 0, values, torch.zeros_like(values) - 1.0).flatten(2).amax(2)
        return torch.where(inside.flatten(2).amax(2) > 0, lowest, torch.zeros_like(lowest))
    rows = []
    for picture, mask in zip(values, weight, strict=True):
        chosen = picture[:, mask[0] > 0]
        rows.append(_highest_mean(chosen) if chosen.shape[1] else picture.new_zeros(picture.shape[0]))
    return torch.stack(rows)


def _highest_mean(pixels: torch.Tensor) -> torch.Tensor:
    """Mean of the five per cent largest along the last axis, which it takes away; at least one of them."""
    count = max(1, round(0.05 * pixels.shape[-1]))
    highest = _highest(pixels.detach(), count)
    if not (torch.is_grad_enabled() and pixels.requires_grad):
        return highest.mean(-1)
    lowest = highest.amin(-1, keepdim=True)
    above, tied = pixels > lowest, pixels == lowest
    # Equal ones share the places that are left, and the gradient with it.
    places = (count - above.sum(-1, keepdim=True)) / tied.sum(-1, keepdim=True)
    return (pixels * (above + tied * places.to(pixels))).sum(-1) / count


def _highest(pixels: torch.Tensor, count: int) -> torch.Tensor:
    """The ``count`` largest along the last axis, in any order."""
    if pixels.device.type == "cpu" and pixels.dtype in (torch.float32, torch.float64):
        # A third of the time of torch's topk.
        place = pixels.shape[-1] - count
        return torch.from_numpy(np.partition(pixels.numpy(), place, axis=-1)[..., place:])
    return pixels.topk(count, dim=-1, sorted=False).values


def penalty_terms(
    maps: torch.Tensor,
    ref: torch.Tensor,
    penalties: Sequence[Penalty],
    masks: dict[Path, torch.Tensor] | None = None,
    channels: Sequence[str] = CHANNELS,
) -> list[torch.Tensor]:
    """What each penalty costs, before its weight: for each, (N,) of ``max(0, statistic(excess) - above)``.

    Args:
        maps: (N, K, H, W) in [0, 1].
        ref: (N or 1, 3, H, W), the reference the regions are found in.
        penalties: the terms, answered in this order.
        masks: mask tensors (1, 1, H, W) by path, for the penalties that name one.
        channels: the names of the K maps.
    """
    terms: list[torch.Tensor] = []
    planes = dict(zip(channels, maps.split(1, dim=1), strict=True))
    regions: dict[tuple[str, Path | None], torch.Tensor] = {}
    for penalty in penalties:
        key = (penalty.region, penalty.mask)
        if key not in regions:
            mask = (masks or {}).get(penalty.mask) if penalty.mask else None
            regions[key] = region_weight(ref, penalty.region, mask).expand(maps.shape[0], -1, -1, -1)
        over = excess(planes[penalty.type], (penalty.type,))
        value = statistic(over, regions[key], penalty.statistic)[:, 0]
        terms.append((value - penalty.above).clamp(min=0.0))
    return terms


def map_table(maps: torch.Tensor, channels: Sequence[str] = CHANNELS) -> list[dict[str, dict[str, float]]]:
    """Signed statistics of every channel for each picture: a list of ``{channel: {mean, p95, max}}``.

    ``mean`` is that of ``2 F - 1`` (negative: the reference has more); ``p95`` and ``max`` are of the :func:`excess`.
    """
    # The largest tensors of a trial: one copy, then in place.
    over = maps.detach().clone(memory_format=torch.contiguous_format).mul_(2.0).sub_(1.0)
    mean = statistic(over, None, "mean")
    for plane, name in zip(over.unbind(1), channels, strict=True):  # as :func:`excess`
        if name in SIGNED_CHANNELS:
            plane.abs_()
        else:
            plane.clamp_(min=0.0)
    p95, highest = statistic(over, None, "p95"), statistic(over, None, "max")
    return [
        {
            name: {"mean": float(mean[n, k]), "p95": float(p95[n, k]), "max": float(highest[n, k])}
            for k, name in enumerate(channels)
        }
        for n in range(maps.shape[0])
    ]
