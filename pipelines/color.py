"""Luma and chroma apart: the full-range YCbCr of ITU-R BT.601 (as in JFIF), exact both ways."""

from __future__ import annotations

import torch
from torch import Tensor

KR, KB = 0.299, 0.114
KG = 1.0 - KR - KB
"""Luma weights of ITU-R BT.601, applied to encoded R'G'B'."""


def to_ycbcr(image: Tensor) -> Tensor:
    """(N, 3, H, W) R'G'B' in [0, 1] to (N, 3, H, W): Y' in [0, 1], Cb and Cr in [-0.5, 0.5], grey at 0.

    Kornia's conversion rounds its constants, so that there and back changes a picture by up to 1e-3; this one
    is exact to rounding.
    """
    red, green, blue = image.unbind(1)
    luma = KR * red + KG * green + KB * blue
    return torch.stack([luma, (blue - luma) / (2 * (1 - KB)), (red - luma) / (2 * (1 - KR))], dim=1)


def from_ycbcr(planes: Tensor) -> Tensor:
    """The inverse of :func:`to_ycbcr`."""
    luma, blueness, redness = planes.unbind(1)
    red = luma + 2 * (1 - KR) * redness
    blue = luma + 2 * (1 - KB) * blueness
    return torch.stack([red, (luma - KR * red - KB * blue) / KG, blue], dim=1)


def plane_values(luma: Tensor, chroma: Tensor) -> Tensor:
    """Two 0-dim tensors as one (3, 1, 1) tensor that broadcasts over Y', Cb, Cr planes."""
    return torch.stack([luma, chroma, chroma]).view(3, 1, 1)
