"""Pixel by pixel: what PyTorch has as well, with gradients that take a fraction of the time (CPU).

PyTorch's own choose by a mask of booleans, a branch at every pixel, and take the sum of a product that they write out.
All are differentiable once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def clamped(image: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """``image.clamp(low, high)``, any shape."""
    return _Clamped.apply(image, low, high)  # type: ignore[no-untyped-call]


def scaled(image: Tensor, factor: Tensor) -> Tensor:
    """``image * factor``: any shape, 0-dim."""
    return _Scaled.apply(image, factor)  # type: ignore[no-untyped-call]


def blended(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """``torch.lerp(start, end, share)``: two of the same shape, 0-dim."""
    return _Blended.apply(start, end, share)  # type: ignore[no-untyped-call]


def same(a: Tensor, b: Tensor) -> Tensor:
    """1 where the two are equal, else 0, as numbers of their dtype."""
    return torch.eq(a, b, out=torch.empty_like(a))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum of the product of two of the same shape; 0-dim."""
    return torch.dot(a.flatten(), b.flatten())


class _Clamped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, low: float | None, high: float | None) -> Tensor:
        result = image.clamp(low, high)
        ctx.save_for_backward(image, result)
        return result

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return same(*ctx.saved_tensors).mul_(gradient), None, None


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(image, factor)
        return image * factor

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        image, factor = ctx.saved_tensors
        to_image = gradient * factor if ctx.needs_input_grad[0] else None
        return to_image, dot(gradient, image) if ctx.needs_input_grad[1] else None


class _Blended(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
        difference = end - start
        ctx.save_for_backward(difference, share)
        return torch.addcmul(start, difference, share)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        difference, share = ctx.saved_tensors
        to_end = gradient * share
        to_start = gradient - to_end if ctx.needs_input_grad[0] else None
        return to_start, to_end, dot(gradient, difference) if ctx.needs_input_grad[2] else None
