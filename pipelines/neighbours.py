"""Largest and smallest of a pixel's neighbours, with a fast gradient: that of ``torch.maximum`` looks for ties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipelines.correlation import mirrored

Offsets = Sequence[tuple[int, int]]


def smallest(image: Tensor, offsets: Offsets) -> Tensor:
    """:func:`largest` of the negative picture, negative."""
    return -largest(-image, offsets)


def largest(image: Tensor, offsets: Offsets) -> Tensor:
    """The largest of the pixels at ``offsets``, borders mirrored; the gradient goes to the first of equal ones.

    Args:
        image: (N, C, H, W).
        offsets: rows down and columns to the right of each neighbour; (0, 0) is the pixel itself. Smaller than the
            picture.

    Returns:
        (N, C, H, W). Differentiable once.
    """
    reach = max(abs(step) for offset in offsets for step in offset)
    return _Largest.apply(mirrored(image, reach, reach), offsets, reach)  # type: ignore[no-untyped-call]


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, wide: Tensor, offsets: Offsets, reach: int) -> Tensor:
        result = _neighbour(wide, offsets[0], reach)
        for offset in offsets[1:]:
            result = torch.maximum(result, _neighbour(wide, offset, reach))
        ctx.save_for_backward(wide, result)
        ctx.offsets, ctx.reach = offsets, reach
        return result

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        wide, result = ctx.saved_tensors
        to_image = torch.zeros_like(wide)
        rest = gradient.clone()  # what has not found its pixel yet
        for offset in ctx.offsets:
            share = rest * (_neighbour(wide, offset, ctx.reach) == result)
            _neighbour(to_image, offset, ctx.reach).add_(share)
            rest -= share
        return to_image, None, None


def _neighbour(wide: Tensor, offset: tuple[int, int], reach: int) -> Tensor:
    rows, columns = (side - 2 * reach for side in wide.shape[-2:])
    down, right = (reach + step for step in offset)
    return wide[..., down : down + rows, right : right + columns]
