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


class OddEvenMerge(nn.Module):
    """Features of test and reference, (N, C, H, W) each, to an odd and an even stream of ``width`` channels.

    Differences are compressed by asinh with a learned gain: a just visible distortion moves a feature by a
    hundredth of what a severe one does, while their intensities are 0.1 and 1.
    """

    def __init__(self, channels: int, width: int, gain: float = 20.0) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.full((1, channels, 1, 1), math.log(gain)))
        self.odd = nn.Conv2d(channels, width, 1, bias=False)
        self.even = nn.Conv2d(2 * channels, width, 1)

    def forward(self, test: torch.Tensor, ref: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        difference = torch.asinh((test - ref) * self.log_gain.exp())
        return self.odd(difference), self.even(torch.cat([test + ref, difference.abs()], dim=1))


class OddEvenBlock(nn.Module):
    """One residual step: the even stream reads |odd| and its neighbourhood; the odd stream is filtered and gated.

    Shapes: (N, width, H, W) in and out for both streams.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.context = nn.Conv2d(width, width, 3, padding=1)
        self.amplitude = nn.Conv2d(width, width, 1, bias=False)
        self.gate = nn.Conv2d(width, width, 1)
        self.filter = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.mix = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, odd: torch.Tensor, even: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        even = even + nnf.relu(self.context(even) + self.amplitude(odd.abs()))
        # 2 * sigmoid starts near 1, so the odd stream is neither damped nor blown up before training.
        gate = 2.0 * torch.sigmoid(self.gate(even))
        return odd + self.mix(self.filter(odd) * gate), even


def resize(stream: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bilinear resize of (N, C, h, w) to ``size`` (H, W): linear, so it keeps a stream odd or even."""
    return nnf.interpolate(stream, size=(size[0], size[1]), mode="bilinear", align_corners=False)


def at_least_float32(stream: torch.Tensor) -> torch.Tensor:
    """Half-precision streams (under autocast) as float32; float32 and float64 stay as they are."""
    return stream.float() if stream.dtype in (torch.float16, torch.bfloat16) else stream
