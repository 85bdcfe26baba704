"""Bilinear enlargement with a fast gradient: PyTorch's adds single pixels one after another."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import interpolate


def enlarge(image: Tensor, size: tuple[int, int]) -> Tensor:
    """``interpolate(image, size, mode="bilinear")``; differentiable once where the sides grow by one whole factor.

    Args:
        image: (N, C, h, w).
        size: (H, W) of the result.

    Returns:
        (N, C, H, W).
    """
    factor = size[0] // image.shape[-2]
    if size != (factor * image.shape[-2], factor * image.shape[-1]):
        return interpolate(image, size, mode="bilinear")
    return _Enlarge.apply(image, factor)  # type: ignore[no-untyped-call]


class _Enlarge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, factor: int) -> Tensor:
        ctx.factor = factor
        return interpolate(image, scale_factor=factor, mode="bilinear")

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _collected(_collected(gradient, 2, ctx.factor), 3, ctx.factor), None


def _collected(gradient: Tensor, dim: int, factor: int) -> Tensor:
    """What each sample along ``dim`` gave to ``factor`` times as many, added up."""
    count = gradient.shape[dim] // factor
    many = gradient.unflatten(dim, (count, factor))
    wide = gradient.new_zeros([*gradient.shape[:dim], count + 2, *gradient.shape[dim + 1 :]])
    before, here, after = (wide.narrow(dim, shift, count) for shift in range(3))
    for place in range(factor):
        sample, way = many.select(dim + 1, place), (place + 0.5) / factor - 0.5  # from the sample's centre, in samples
        here.add_(sample, alpha=1.0 - abs(way))
        (before if way < 0 else after).add_(sample, alpha=abs(way))
    here.narrow(dim, 0, 1).add_(wide.narrow(dim, 0, 1))  # beyond the ends they are repeated
    here.narrow(dim, count - 1, 1).add_(wide.narrow(dim, count + 1, 1))
    return here
