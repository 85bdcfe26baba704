"""Where the colours of a Bayer mosaic lie."""

from __future__ import annotations

import torch
from torch import Tensor

PATTERNS = ("RGGB", "GRBG", "GBRG", "BGGR")
"""The four phases of the Bayer pattern: the colours of the upper left 2 x 2 pixels, row by row."""


def color_masks(mosaic: Tensor, cfa: str) -> Tensor:
    """(1, 3, H, W) of 0 and 1 in the mosaic's dtype: which pixels of (N, 1, H, W) are red, green and blue.

    Raises:
        ValueError: ``cfa`` is none of :data:`PATTERNS`.
    """
    if cfa not in PATTERNS:
        raise ValueError(f"CFA pattern {cfa!r}, expected one of {', '.join(PATTERNS)}")
    masks = mosaic.new_zeros(1, 3, *mosaic.shape[-2:])
    for place, color in enumerate(cfa):
        masks[:, "RGB".index(color), place // 2 :: 2, place % 2 :: 2] = 1.0
    return masks


def per_color(mosaic: Tensor, cfa: str, values: Tensor) -> Tensor:
    """(1, 1, H, W): for every pixel the one of ``values`` (3,), red, green, blue, that belongs to its colour."""
    if cfa not in PATTERNS:
        raise ValueError(f"CFA pattern {cfa!r}, expected one of {', '.join(PATTERNS)}")
    rows, columns = mosaic.shape[-2:]
    tile = torch.stack([values["RGB".index(color)] for color in cfa]).view(1, 1, 2, 2)
    return tile.repeat(1, 1, (rows + 1) // 2, (columns + 1) // 2)[..., :rows, :columns]
