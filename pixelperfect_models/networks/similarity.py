"""What two pictures have in common, place by place: the fixed measurements that S weighs.

Local similarity of gradients, activity and colour is what the best classical metrics agree on (Zhang et al., *VSI*,
2014; Nafchi et al., *MDSI*, 2016; Reisenhofer et al., *HaarPSI*, 2018; Wang et al., *SSIM*, 2004). S does not have to
find it again in small data: it learns what each measurement at each scale, pooled in each way, is worth. Everything
here is elementwise, in float32 whatever the autocast says, and symmetric in the two pictures, or odd where it says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as nnf

from pixelperfect_models.networks.antisymmetric import at_least_float32
from pixelperfect_models.networks.mean_deviation import CHROMA_CONSTANT, DEVIATIONS, mean_deviation

LEVELS = 4
"""Scales, each half the size of the one before, beginning with the picture as it is seen."""

# Luma and two opponent colours of RGB: Geusebroek et al., *Color invariance*, 2001, as MDSI uses them.
LMN = ((0.06, 0.63, 0.27), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))

CHANNELS = 7
"""Views of one scale."""
_LUMA, _COLORS, _SLOPES, _GRADIENT, _ACTIVITY = slice(0, 1), slice(1, 3), slice(3, 5), slice(5, 6), slice(6, 7)

MAPS = 10
"""Unlikeness maps of one scale."""

EDGE_MAP = 0
"""Among them that of gradient magnitude, with the small constant."""

ACTIVITY_MAP = 3
"""That of activity, with the small constant."""

CHROMA_MAP = 5
"""That of chroma."""

DEVIATION_LEVELS = 3
"""Scales, of the finest, that are pooled as MDSI does, too."""

EVEN_STATISTICS = LEVELS * MAPS * 4 + DEVIATION_LEVELS * DEVIATIONS + 2 * 2 * 3
ODD_STATISTICS = LEVELS * CHANNELS * 3

# Pictures and colours are in [0, 1] here; published constants for 0 to 255 are divided by 255^2.
GRADIENT_FINE, GRADIENT_COARSE = 5e-4, 5e-3
SLOPE = (30.0 / 255.0) ** 2 / 16.0  # HaarPSI's C
ACTIVITY_FINE, ACTIVITY_COARSE = 1e-4, 1e-3
OVER_ACTIVITY, OF_LOG_ACTIVITY = 1e-3, 1e-4
LEAST_WEIGHT = 1e-3

# Keep roots and logarithms, and their gradients, finite at zero.
OF_ROOT, OF_FOURTH_ROOT, LEAST_VARIANCE = 1e-8, 1e-12, 1e-10
OF_LOG_SQUARE, OF_LOG_FOURTH = 1e-6, 1e-9
BLOCKS = (4, 16)
"""Sides of the squares over which colours are averaged, too."""


def views(seen: torch.Tensor) -> list[torch.Tensor]:
    """What is measured of one picture: (N, 3, H, W) in [0, 1], H, W >= 16, to :data:`LEVELS` tensors (N, 7, h, w).

    Channels: luma, two opponent colours, absolute horizontal and vertical slope of luma (Scharr), gradient magnitude,
    and activity, the standard deviation of luma in 5 x 5 pixels.
    """
    weights = torch.tensor(LMN, dtype=torch.float32, device=seen.device)
    rgb = at_least_float32(seen)
    with torch.autocast(seen.device.type, enabled=False):
        colors = (weights.to(rgb.dtype) @ rgb.flatten(2)).unflatten(2, rgb.shape[2:])
    found = []
    for level in range(LEVELS):
        if level:
            colors = nnf.avg_pool2d(colors, 2)
        luma = colors[:, _LUMA]
        across, down = _slopes(luma)
        gradient = (across.square() + down.square() + OF_ROOT).sqrt()
        mean = _local_mean(luma)
        activity = (_local_mean((luma - mean).square()) + OF_ROOT).sqrt()
        found.append(torch.cat([colors, across.abs(), down.abs(), gradient, activity], dim=1))
    return found


def unlikeness(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Two pictures' views at one scale to (N, 10, h, w), even, >= 0, exactly 0 where they agree.

    Gradient magnitude (two constants), slopes, activity (two constants) and chroma as
    1 - (2 a b + c) / (a^2 + b^2 + c); squared difference of luma and of colour; that of luma over the activity; change
    of log-activity.
    """
    luma, color = (a - b)[:, _LUMA].square(), (a - b)[:, _COLORS].square().sum(1, keepdim=True)
    power_a, power_b = a[:, _ACTIVITY].square(), b[:, _ACTIVITY].square()
    return torch.cat(
        [
            _unlike(a[:, _GRADIENT], b[:, _GRADIENT], GRADIENT_FINE),
            _unlike(a[:, _GRADIENT], b[:, _GRADIENT], GRADIENT_COARSE),
            _unlike(a[:, _SLOPES], b[:, _SLOPES], SLOPE).mean(1, keepdim=True),
            _unlike(a[:, _ACTIVITY], b[:, _ACTIVITY], ACTIVITY_FINE),
            _unlike(a[:, _ACTIVITY], b[:, _ACTIVITY], ACTIVITY_COARSE),
            _chroma_unlikeness(a[:, _COLORS], b[:, _COLORS]),
            luma,
            color,
            luma / (power_a + power_b + OVER_ACTIVITY),
            (torch.log(power_a + OF_LOG_ACTIVITY) - torch.log(power_b + OF_LOG_ACTIVITY)).abs(),
        ],
        dim=1,
    )


def even_statistics(test: Sequence[torch.Tensor], ref: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """All maps of all scales pooled, (N, :data:`EVEN_STATISTICS`), >= 0, and their plain sum (N,), 0 for equal ones.

    Each map gives its mean (most metrics), its standard deviation (GMSD), its 4-norm, for which the worst part of the
    picture counts most, and its mean where the stronger gradient is (HaarPSI, VSI); then colours averaged over blocks,
    and the :func:`mean_deviation` of the finest scales.
    """
    pooled, amounts = [], []
    for a, b in zip(test, ref, strict=True):
        maps = unlikeness(a, b)
        weight = torch.maximum(a[:, _GRADIENT], b[:, _GRADIENT]) + LEAST_WEIGHT
        square = maps.square()
        mean = maps.mean((2, 3))
        deviation = (square.mean((2, 3)) - mean.square() + OF_ROOT).clamp(min=LEAST_VARIANCE).sqrt()
        worst = (square.square().mean((2, 3)) + OF_FOURTH_ROOT).sqrt().sqrt()
        where_edges = (maps * weight).mean((2, 3)) / weight.mean((2, 3))
        pooled += [mean, deviation, worst, where_edges]
        amounts.append(mean.sum(1))
    for side in BLOCKS:
        block = min(side, *test[0].shape[-2:])
        shift = (nnf.avg_pool2d(test[0][:, :3], block) - nnf.avg_pool2d(ref[0][:, :3], block)).abs()
        pooled += [(shift.square().square().mean((2, 3)) + OF_FOURTH_ROOT).sqrt().sqrt(), shift.mean((2, 3))]
    for a, b in zip(test[:DEVIATION_LEVELS], ref, strict=False):
        pooled.append(mean_deviation(a[:, :3], b[:, :3]))
    return torch.cat(pooled, dim=1), torch.stack(amounts).sum(0)


def odd_statistics(test: Sequence[torch.Tensor], ref: Sequence[torch.Tensor]) -> torch.Tensor:
    """What test has more of than ref, (N, :data:`ODD_STATISTICS`): mean, log-deviation and log-4-norm of each view."""
    found = []
    for a, b in zip(test, ref, strict=True):
        mean_a, mean_b = a.mean((2, 3)), b.mean((2, 3))
        spread_a, spread_b = (_log_moments(x, mean) for x, mean in ((a, mean_a), (b, mean_b)))
        found += [mean_a - mean_b, spread_a[0] - spread_b[0], spread_a[1] - spread_b[1]]
    return torch.cat(found, dim=1)


def _log_moments(x: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    square = (x - mean[:, :, None, None]).square()
    return torch.log(square.mean((2, 3)) + OF_LOG_SQUARE), torch.log(square.square().mean((2, 3)) + OF_LOG_FOURTH)


def _unlike(a: torch.Tensor, b: torch.Tensor, constant: float) -> torch.Tensor:
    return (a - b).square() / (a.square() + b.square() + constant)


def _chroma_unlikeness(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).square().sum(1, keepdim=True) / ((a.square() + b.square()).sum(1, keepdim=True) + CHROMA_CONSTANT)


def _slopes(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scharr's derivatives of (N, 1, H, W), the border repeated, scaled to a step's height."""
    padded = nnf.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = (3.0 * padded[..., :-2, :] + 10.0 * padded[..., 1:-1, :] + 3.0 * padded[..., 2:, :]) / 16.0
    columns = (3.0 * padded[..., :-2] + 10.0 * padded[..., 1:-1] + 3.0 * padded[..., 2:]) / 16.0
    return rows[..., 2:] - rows[..., :-2], columns[..., 2:, :] - columns[..., :-2, :]


def _local_mean(x: torch.Tensor) -> torch.Tensor:
    return nnf.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
