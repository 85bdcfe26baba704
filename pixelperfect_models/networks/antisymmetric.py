"""Building blocks that are anti-symmetric in (test, ref) by construction.

Two feature streams run through a decoder. The *odd* stream changes its sign when test and reference swap; the
*even* stream does not change. The rules that keep this exact, also in floating point (rounding to nearest is
symmetric in sign, addition commutes):

- odd = f(test) - f(ref); even = [f(test) + f(ref), |f(test) - f(ref)|];
- an odd stream passes only convolutions without bias, and products with even streams;
- an even stream may pass anything, and may read the odd stream through its absolute value.

Equal pictures make the odd stream exactly zero, so a network that ends in a sigmoid of it answers exactly 0.5, and
one that ends linearly exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import nn


def compress(difference: torch.Tensor, gain: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Odd compression of differences: linear up to 1 / gain, a root beyond; any shape in and out.

    A just visible distortion moves a feature by a hundredth of what a severe one does, while their intensities are 0.1
    and 1. A logarithm (asinh) does the same at five times the price.
    """
    scaled = difference * gain
    if scaled.requires_grad:
        return scaled * torch.rsqrt(scaled.abs() + 1.0)
    # The same in place: large pictures are bound by memory here.
    return scaled.mul_(scaled.abs().add_(1.0).rsqrt_())


class OddEvenMerge(nn.Module):
    """Features of test and reference, (N, C, H, W) each, to an odd and an even stream of ``width`` channels.

    Args:
        channels: C.
        width: channels of the odd stream.
        even_width: channels of the even stream; ``width`` by default.
        gain: where the learned gain of :func:`compress` starts, one a channel.
    """

    def __init__(self, channels: int, width: int, even_width: int | None = None, gain: float = 20.0) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.full((1, channels, 1, 1), math.log(gain)))
        self.odd = nn.Conv2d(channels, width, 1, bias=False)
        self.even = nn.Conv2d(2 * channels, even_width or width, 1)

    def forward(self, test: torch.Tensor, ref: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Under autocast the gain is float32, and would make all that follows so.
        difference = compress(test - ref, self.log_gain.exp().to(test.dtype))
        # The convolution of both, side by side, as a sum: copying them together costs as much as convolving them.
        common, apart = self.even.weight.chunk(2, dim=1)
        even = nnf.conv2d(test + ref, common, self.even.bias) + nnf.conv2d(difference.abs(), apart)
        return self.odd(difference), even


def resize(stream: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bilinear resize of (N, C, h, w) to ``size`` (H, W): linear, so it keeps a stream odd or even."""
    return nnf.interpolate(stream, size=(size[0], size[1]), mode="bilinear", align_corners=False)


def at_least_float32(stream: torch.Tensor) -> torch.Tensor:
    """Half-precision streams (under autocast) as float32; float32 and float64 stay as they are."""
    return stream.float() if stream.dtype in (torch.float16, torch.bfloat16) else stream
