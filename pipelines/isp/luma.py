"""Luma and chroma of encoded pictures."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHTS = (0.299, 0.587, 0.114)
"""ITU-R BT.601's luma weights of red, green and blue."""


_TO_YCC = (
    WEIGHTS,
    (-WEIGHTS[0] / 1.772, -WEIGHTS[1] / 1.772, (1.0 - WEIGHTS[2]) / 1.772),
    ((1.0 - WEIGHTS[0]) / 1.402, -WEIGHTS[1] / 1.402, -WEIGHTS[2] / 1.402),
)
_FROM_YCC = (
    (1.0, 0.0, 1.402),
    (1.0, -WEIGHTS[2] * 1.772 / WEIGHTS[1], -WEIGHTS[0] * 1.402 / WEIGHTS[1]),
    (1.0, 1.772, 0.0),
)


def mixed(image: Tensor, matrix: Tensor) -> Tensor:
    """Every pixel's colours times a matrix: (N, C, H, W) and (D, C) to (N, D, H, W)."""
    return (matrix @ image.flatten(2)).unflatten(2, image.shape[2:])


def luma(image: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, 1, H, W), BT.601."""
    return mixed(image, image.new_tensor([WEIGHTS]))


def to_ycc(image: Tensor) -> tuple[Tensor, Tensor]:
    """Luma (N, 1, H, W), and blue and red difference (N, 2, H, W) in [-0.5, 0.5]: full-range YCbCr, BT.601."""
    y, chroma = mixed(image, image.new_tensor(_TO_YCC)).split((1, 2), dim=1)
    return y, chroma


def from_ycc(y: Tensor, chroma: Tensor) -> Tensor:
    """The inverse of :func:`to_ycc`."""
    return mixed(torch.cat([y, chroma], dim=1), y.new_tensor(_FROM_YCC))
