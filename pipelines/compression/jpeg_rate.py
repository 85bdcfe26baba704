"""How many bits a JPEG file will have, as a smooth function of picture and tables."""

from __future__ import annotations

import torch
from kornia.color import rgb_to_ycbcr
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pipelines.compression.dct import block_dct

COEFFICIENTS = (1.5259, 2.4355, -4.3056)
"""Bits for each unit of: sum of log2(1 + |level|), softly counted levels that are not 0, blocks. Least squares on
libjpeg's files of photos at many tables: ``python benchmarks/jpeg_tables.py --calibrate``."""


def estimated_bits(image: Tensor, luma: Tensor, chroma: Tensor) -> Tensor:
    """Estimated bits a pixel of a 4:2:0 baseline file with optimised Huffman codes, 0-dim, mean over the batch.

    Args:
        image: (N, 3, H, W) in [0, 1].
        luma, chroma: quantisation tables (8, 8), gradients welcome.
    """
    bits = sum(
        weight * feature for weight, feature in zip(COEFFICIENTS, rate_features(image, luma, chroma), strict=True)
    )
    assert isinstance(bits, Tensor)
    return bits


def rate_features(image: Tensor, luma: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the estimate is linear in, each 0-dim and a pixel: magnitudes, levels that are not 0, blocks."""
    pixels = image.shape[0] * image.shape[-2] * image.shape[-1]
    colors = 255.0 * rgb_to_ycbcr(image) - 128.0
    planes = ((colors[:, :1], luma), (avg_pool2d(colors[:, 1:], 2, ceil_mode=True), chroma))
    magnitude, present, blocks = image.new_zeros(()), image.new_zeros(()), image.new_zeros(())
    for plane, table in planes:
        levels = block_dct(plane) / table.reshape(64)
        magnitude = magnitude + torch.log2(1.0 + levels.abs()).sum() / pixels
        squared = levels.square() ** 2
        present = present + (squared / (squared + 0.5**4)).sum() / pixels  # a level is coded from half a step on
        blocks = blocks + levels.shape[0] / pixels
    return magnitude, present, blocks
