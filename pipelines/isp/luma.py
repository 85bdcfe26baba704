"""Luma and chroma of encoded pictures."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHTS = (0.299, 0.587, 0.114)
"""ITU-R BT.601's luma weights of red, green and blue."""


def luma(image: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, 1, H, W), BT.601."""
    return (image * image.new_tensor(WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)


def to_ycc(image: Tensor) -> tuple[Tensor, Tensor]:
    """Luma (N, 1, H, W), and blue and red difference (N, 2, H, W) in [-0.5, 0.5]: full-range YCbCr, BT.601."""
    y = luma(image)
    return y, torch.cat([(image[:, 2:] - y) / 1.772, (image[:, :1] - y) / 1.402], dim=1)


def from_ycc(y: Tensor, chroma: Tensor) -> Tensor:
    """The inverse of :func:`to_ycc`."""
    blue, red = y + 1.772 * chroma[:, :1], y + 1.402 * chroma[:, 1:]
    green = (y - WEIGHTS[0] * red - WEIGHTS[2] * blue) / WEIGHTS[1]
    return torch.cat([red, green, blue], dim=1)
