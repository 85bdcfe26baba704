"""Burst photography: several noisy frames aligned, merged where they agree, denoised and sharpened.

Source: the order of steps and the tile-based robust merge follow Hasinoff et al., Burst photography for high dynamic
range and low-light imaging on mobile cameras (HDR+), 2016; here on sRGB frames brought to linear light.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

from pipelines.burst_input import Burst, BurstInput, BurstSimulation
from pipelines.contract import Pipeline
from pipelines.denoise.base import SHARPEN, unsharp
from pipelines.isp.luma import from_ycc, luma, to_ycc
from pipelines.isp.tone_curve import srgb_decode, srgb_encode
from pipelines.parameters import Choice, Parameter, Parameters

_LEVELS = (4, 2, 1)
"""Reductions at which frames are aligned, coarse to fine."""


class BurstMerge(Pipeline):
    """Aligns the frames to the first one, rejects what moved, merges, denoises and sharpens.

    Gradients reach every continuous parameter; the alignment is found by search and carries none.

    Args:
        simulate: how an ordinary picture becomes a burst (:class:`pipelines.burst_input.BurstSimulation`).
    """

    name = "burst"
    differentiable = True
    options: ClassVar[dict[str, str]] = {
        "simulate": "For pictures: frames, shake, turn, motion, radius, shot_noise, read_noise, seed.",
    }
    parameters: ClassVar[Parameters] = {
        "tile": Choice((16, 32, 64), 32, unit="px", doc="Side of the tiles that are aligned apart."),
        "reach": Parameter(
            1, 4, 2, unit="px", doc="Search radius at each of three scales; shifts up to 7 times it.", integer=True
        ),
        "merge": Parameter(0.0, 1.0, 0.9, unit="fraction", doc="Weight of the other frames; 0 keeps the first alone."),
        "tolerance": Parameter(
            0.01, 0.5, 0.08, unit="intensity", log=True, doc="Difference that still counts as noise; above it ghosts."
        ),
        "noise": Parameter(
            0.0, 0.2, 0.03, unit="intensity", doc="Deviation of the noise that the spatial filter removes; 0 is off."
        ),
        "chroma": Parameter(1.0, 6.0, 2.0, unit="factor", log=True, doc="How much more chroma is smoothed than luma."),
        **SHARPEN,
    }

    def __init__(self, simulate: Mapping[str, Any] | None = None) -> None:
        self.input = BurstInput(BurstSimulation.of(simulate or {}))

    def process(
        self,
        image: Burst,
        tile: int,
        reach: int,
        merge: Tensor,
        tolerance: Tensor,
        noise: Tensor,
        chroma: Tensor,
        sharpen_amount: Tensor,
        sharpen_sigma: Tensor,
    ) -> Tensor:
        """Frames (F, 3, H, W) to (1, 3, H, W)."""
        reference, others = image.frames[:1], image.frames[1:]
        with torch.no_grad():
            aligned = torch.cat([warp(other, align(reference, other, tile, reach)) for other in others.split(1)])
        merged = robust_merge(reference, aligned, merge, tolerance)
        smooth = wiener(merged, noise, chroma)
        return unsharp(smooth, sharpen_amount, sharpen_sigma)


def align(reference: Tensor, other: Tensor, tile: int, reach: int) -> Tensor:
    """Shifts that lay ``other`` over ``reference``, by tiles, coarse to fine, of the least mean absolute difference.

    Args:
        reference, other: (1, 3, H, W).
        tile: side of a tile at full size, pixels.
        reach: search radius at each scale, pixels of that scale.

    Returns:
        (1, 2, H, W): down and right, pixels, fractions among them: ``other[y + down, x + right]`` is
        ``reference[y, x]``.
    """
    pair = [luma(reference), luma(other)]
    field = reference.new_zeros(1, 2, 1, 1)
    for level in _LEVELS:
        ours, theirs = (avg_pool2d(plane, level) if level > 1 else plane for plane in pair)
        rows, columns = ours.shape[-2:]
        field = _resized(field, rows, columns)
        side = max(8, tile // level)
        best = _search(ours, warp(theirs, field), side, reach)
        field = field + _resized(best, rows, columns)
        if level > 1:
            field = field * (level / _LEVELS[_LEVELS.index(level) + 1])
    return field


def _search(ours: Tensor, theirs: Tensor, side: int, reach: int) -> Tensor:
    """(1, 2, tiles down, tiles right): the best shift of each tile; a parabola through the best three refines it."""
    rows, columns = ours.shape[-2:]
    wide = pad(theirs, [reach] * 4, mode="replicate")
    span = range(-reach, reach + 1)
    costs = []
    for down in span:
        for right in span:
            shifted = wide[..., reach + down : reach + down + rows, reach + right : reach + right + columns]
            costs.append(avg_pool2d((ours - shifted).abs(), side, ceil_mode=True, count_include_pad=False))
    count = 2 * reach + 1
    cost = torch.cat(costs, dim=1).view(count, count, *costs[0].shape[-2:])
    # The shift nearest to none wins a tie, as in flat tiles.
    away = torch.tensor([[abs(down) + abs(right) for right in span] for down in span]).to(cost)
    flat = (cost + 1e-5 * away[:, :, None, None]).flatten(0, 1)
    index = flat.argmin(0)
    place = torch.stack([index // count, index % count])
    fine = []
    for axis in (0, 1):
        middle = place.clone()
        middle[axis] = middle[axis].clamp(1, count - 2)
        low, high = middle.clone(), middle.clone()
        low[axis] -= 1
        high[axis] += 1
        before, at, after = (flat.gather(0, (p[0] * count + p[1])[None])[0] for p in (low, middle, high))
        bend = (before - 2.0 * at + after).clamp(min=1e-6)
        step = (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
        fine.append(torch.where(middle[axis] == place[axis], step, torch.zeros_like(step)))
    return (place - reach + torch.stack(fine))[None]


def _resized(field: Tensor, rows: int, columns: int) -> Tensor:
    if field.shape[-2:] == (rows, columns):
        return field
    return interpolate(field, (rows, columns), mode="bilinear", align_corners=False)


def warp(image: Tensor, field: Tensor) -> Tensor:
    """``image`` (1, C, H, W) sampled at every pixel plus ``field`` (1, 2, H, W), down and right, bicubic."""
    rows, columns = image.shape[-2:]
    y = torch.arange(rows).to(image)[:, None] + field[0, 0]
    x = torch.arange(columns).to(image)[None, :] + field[0, 1]
    grid = torch.stack([(2.0 * x + 1.0) / columns - 1.0, (2.0 * y + 1.0) / rows - 1.0], dim=-1)[None]
    return grid_sample(image, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def robust_merge(reference: Tensor, aligned: Tensor, strength: Tensor, tolerance: Tensor) -> Tensor:
    """Weighted mean of the frames in linear light; a frame counts where it agrees with the reference.

    The weight is ``1 / (1 + (d / tolerance)^4)`` with d the difference after a 5 px mean, so that noise, which that
    mean takes away, is merged and motion, which it does not, is rejected.

    Args:
        reference: (1, 3, H, W). aligned: (F - 1, 3, H, W). Both sRGB.
        strength: weight of an agreeing frame against the reference's 1.
        tolerance: difference (sRGB intensity) at which the weight is a half.
    """
    apart = avg_pool2d(pad(luma(aligned) - luma(reference), (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    weights = strength / (1.0 + (apart / tolerance) ** 4)
    total = srgb_decode(reference) + (weights * srgb_decode(aligned)).sum(0, keepdim=True)
    return srgb_encode(total / (1.0 + weights.sum(0, keepdim=True)))


def wiener(image: Tensor, noise: Tensor, chroma: Tensor) -> Tensor:
    """Adaptive Wiener filter of luma and chroma, 5 px windows (Lee 1980; ``scipy.signal.wiener``).

    Args:
        image: (1, 3, H, W).
        noise: deviation taken for noise, of luma. chroma: factor on it for chroma.
    """
    y, colors = to_ycc(image)
    return from_ycc(_lee(y, noise), _lee(colors, noise * chroma))


def _lee(planes: Tensor, noise: Tensor) -> Tensor:
    wide = pad(planes, (2, 2, 2, 2), mode="reflect")
    mean = avg_pool2d(wide, 5, stride=1)
    variance = (avg_pool2d(wide.square(), 5, stride=1) - mean.square()).clamp(min=0.0)
    power = noise.square()
    kept = (variance - power).clamp(min=0.0) / (torch.maximum(variance, power) + 1e-8)
    return mean + kept * (planes - mean)
