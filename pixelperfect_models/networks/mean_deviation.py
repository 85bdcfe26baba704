"""MDSI's way of adding up a picture's faults, made symmetric in the two: many slight ones beat few strong ones.

Means, deviations and 4-norms of maps, however they are combined, do not tell how MDSI orders pictures whose faults are
few and local (docs/experiments.md); this does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf

# Constants of the paper for values of 0 to 255: C1 between the pictures, C2 with their mean, C3 of chroma; alpha.
BETWEEN, WITH_MEAN, CHROMA_CONSTANT = 140.0 / 255.0**2, 55.0 / 255.0**2, 550.0 / 255.0**2
GRADIENT_SHARE = 0.6

# MDSI's luma, 0.2989 R + 0.587 G + 0.114 B, of the three channels of `similarity.views`.
LUMA_OF_LMN = (1.06430766, 0.58176768, 0.17797423)

# Keep the gradients of roots finite at zero.
OF_ROOT, OF_DEVIATION = 1e-8, 1e-10

DEVIATIONS = 4
"""Numbers that :func:`mean_deviation` gives."""


def mean_deviation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Two pictures' luma and opponent colours, (N, 3, h, w) of :func:`similarity.views`, to (N, 4), >= 0, even.

    MDSI's combined similarity of gradients and chroma, its fourth root (complex where the similarity is negative), and
    of that the mean absolute deviation and what its mean lacks of 1. MDSI takes one picture for the reference, so both
    come twice: the smaller and the larger of the two answers. For equal pictures all are 0 but for 1e-5.
    Source: Nafchi et al., *Mean deviation similarity index*, 2016, equations 4 to 12.
    """
    weights = a.new_tensor(LUMA_OF_LMN).view(1, 3, 1, 1)
    slopes_a, slopes_b = (_prewitt((x * weights).sum(1, keepdim=True)) for x in (a, b))
    steep_a, steep_b, steep_mean = (_length(x) for x in (slopes_a, slopes_b, 0.5 * (slopes_a + slopes_b)))
    alike = _similarity(steep_a, steep_b, BETWEEN)
    lean = _similarity(steep_a, steep_mean, WITH_MEAN) - _similarity(steep_b, steep_mean, WITH_MEAN)
    m, n = a[:, 1:], b[:, 1:]
    power = (m.square() + n.square()).sum(1, keepdim=True)
    chroma = (2.0 * (m * n).sum(1, keepdim=True) + CHROMA_CONSTANT) / (power + CHROMA_CONSTANT)
    common = GRADIENT_SHARE * alike + (1.0 - GRADIENT_SHARE) * chroma
    one, other = (_pooled(common + sign * GRADIENT_SHARE * lean) for sign in (1.0, -1.0))
    return torch.cat([torch.minimum(one, other), torch.maximum(one, other)], dim=1)


def _pooled(combined: torch.Tensor) -> torch.Tensor:
    """Mean absolute deviation and lack of the fourth root of (N, 1, h, w), (N, 2)."""
    root = (combined.square() + OF_ROOT).sqrt().sqrt().sqrt()
    # The fourth root of a negative number lies at 45 degrees.
    real = torch.where(combined < 0, root * 0.5**0.5, root)
    imaginary = torch.where(combined < 0, root * 0.5**0.5, torch.zeros_like(root))
    off, off_imaginary = (x - x.mean((2, 3), keepdim=True) for x in (real, imaginary))
    deviation = (off.square() + off_imaginary.square() + OF_DEVIATION).sqrt().mean((2, 3))
    return torch.cat([deviation, (1.0 - real.mean((2, 3))).clamp(min=0.0)], dim=1)


def _similarity(x: torch.Tensor, y: torch.Tensor, constant: float) -> torch.Tensor:
    return (2.0 * x * y + constant) / (x.square() + y.square() + constant)


def _length(slopes: torch.Tensor) -> torch.Tensor:
    return (slopes.square().sum(1, keepdim=True) + OF_ROOT).sqrt()


def _prewitt(x: torch.Tensor) -> torch.Tensor:
    """Horizontal and vertical slope of (N, 1, H, W), each the sum over three pixels by 3, (N, 2, H, W)."""
    padded = nnf.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = (padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]) / 3.0
    columns = (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3.0
    return torch.cat([rows[..., 2:] - rows[..., :-2], columns[..., 2:, :] - columns[..., :-2, :]], dim=1)
