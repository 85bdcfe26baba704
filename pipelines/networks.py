"""Small restoration networks, trained by ``search.strategy: train`` and run by the pipeline ``network``."""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn


class SmallResidualDenoiser(nn.Module):
    """A small restoration network without activation functions, at half resolution, that predicts what to add.

    2 x 2 pixels become one of 12 channels, ``blocks`` gated depthwise-separable blocks follow, and the way back; what
    comes out is added to the picture. The last layer starts at 0, so the untrained network returns its input. Its
    answer at a pixel depends on the pixels within :attr:`reach` alone: pictures of any size are answered as their parts
    would be. Source of the block: Chen et al. 2022, Simple Baselines for Image Restoration (NAFNet), without its
    channel attention, which would look at the whole picture. 102 012 parameters with the defaults.

    Args:
        width: channels, at least 1.
        blocks: how many blocks, at least 0.

    Shapes: (N, 3, H, W) in [0, 1], sides of at least 2, odd ones too -> the same; the output is not clamped.
    """

    def __init__(self, width: int = 48, blocks: int = 6) -> None:
        super().__init__()
        self.head = nn.Conv2d(12, width, 3, padding=1)
        self.body = nn.Sequential(*(GatedBlock(width) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]  # it has one
        self.reach = 2 * (blocks + 2) + 1
        """Pixels to each side that an output pixel may depend on."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """The restored picture, (N, 3, H, W)."""
        height, width = image.shape[-2:]
        packed = nnf.pixel_unshuffle(pad_to_multiple(image, 2), 2).contiguous(memory_format=torch.channels_last)
        residual = nnf.pixel_shuffle(self.tail(self.body(self.head(packed))), 2)
        return image + residual[..., :height, :width]


class GatedBlock(nn.Module):
    """Two residual branches, spatial and pointwise, whose only nonlinearity is the product of two halves.

    Shapes: (N, width, H, W) -> the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.spatial = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.project = nn.Conv2d(width, width, 1)
        self.widen = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Both branches, one after the other."""
        features = features + self.project(_gate(self.spatial(self.expand(_normalised(features, self.first_norm)))))
        return features + self.narrow(_gate(self.widen(_normalised(features, self.second_norm))))


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """(N, C, H, W) to (N, C, H', W'): last row and column repeated until both sides are multiples of ``multiple``."""
    height, width = image.shape[-2:]
    right, below = -width % multiple, -height % multiple
    return nnf.pad(image, (0, right, 0, below), mode="replicate") if right or below else image


def _normalised(features: Tensor, norm: nn.LayerNorm) -> Tensor:
    # Over the channels of each pixel: in channels-last memory the permutations cost nothing.
    return norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def _gate(features: Tensor) -> Tensor:
    first, second = features.chunk(2, dim=1)
    return first * second
