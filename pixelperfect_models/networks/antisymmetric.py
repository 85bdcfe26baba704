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
from functools import partial
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.networks.compiled import KINDS, as_rows, blank, by_tensors, compiles, each, kernels

_kernels = partial(kernels, "feature_kernels")


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
        if compiles(test, ref, kinds=KINDS, differentiable=True, weights=self.log_gain):
            difference, both = _merged(test, ref, self.log_gain.detach().exp().flatten())
            return self.odd(difference), self.even(both)
        # Under autocast the gain is float32, and would make all that follows so.
        difference = compress(test - ref, self.log_gain.exp().to(test.dtype))
        # The convolution of both, side by side, as a sum: copying them together costs as much as convolving them.
        common, apart = self.even.weight.chunk(2, dim=1)
        even = nnf.conv2d(test + ref, common, self.even.bias) + nnf.conv2d(difference.abs(), apart)
        return self.odd(difference), even


def _merged(test: torch.Tensor, ref: torch.Tensor, gains: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the two streams of :class:`OddEvenMerge` are convolved of, by a compiled function.

    Args:
        test, ref: features (N, C, h, w) of one type, float32 or bfloat16, on a CPU.
        gains: (C,), float32; no gradient reaches them.

    Returns:
        The compressed difference (N, C, h, w), odd, and sum and magnitude of that side by side (N, 2 C, h, w), even.
    """
    return _Merged.apply(test, ref, gains)  # type: ignore[no-any-return, no-untyped-call]


class _Merged(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, test: torch.Tensor, ref: torch.Tensor, gains: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(test, ref, gains)
        difference, both = blank(test, test.shape[1]), blank(test, 2 * test.shape[1])
        rows = [as_rows(x) for x in (test, ref, difference, both)]
        each(_kernels().merge, test, *rows[:2], gains.numpy(), *rows[2:])
        return difference, both

    @staticmethod
    def backward(ctx: Any, odd: torch.Tensor, even: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        test, ref, gains = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *by_tensors(lambda: _to_merge(test, ref, gains), (test, ref), (odd, even)), None
        asks = ctx.needs_input_grad
        found = [blank(x, x.shape[1] if asked else 0) for x, asked in ((test, asks[0]), (ref, asks[1]))]
        rows = [as_rows(x) for x in (test, ref, odd, even, *found)]
        each(_kernels().of_merge, test, *rows[:4], gains.numpy(), *rows[4:])
        return *(x if x.shape[1] else None for x in found), None


def _to_merge(test: torch.Tensor, ref: torch.Tensor, gains: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    difference = compress(test - ref, gains[:, None, None])
    return difference, torch.cat([test + ref, difference.abs()], dim=1)


def resize(stream: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bilinear resize of (N, C, h, w) to ``size`` (H, W): linear, so it keeps a stream odd or even."""
    return nnf.interpolate(stream, size=(size[0], size[1]), mode="bilinear", align_corners=False)


def at_least_float32(stream: torch.Tensor) -> torch.Tensor:
    """Half-precision streams (under autocast) as float32; float32 and float64 stay as they are."""
    return stream.float() if stream.dtype in (torch.float16, torch.bfloat16) else stream
