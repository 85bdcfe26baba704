"""Smallest and largest of a pixel's neighbours, with a fast gradient: that of ``torch.maximum`` looks for ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipelines.correlation import mirrored

Combine = Callable[[Tensor, Tensor], Tensor]


def extremes(image: Tensor, step: int = 1, centre: bool = True) -> tuple[Tensor, Tensor]:
    """The smallest and the largest of the 3 x 3 pixels about each, borders mirrored.

    The gradient of each goes to one pixel; of equal ones it is not said to which.

    Args:
        image: (N, C, H, W), sides above ``step``.
        step: from a pixel to its neighbours, in rows and columns, >= 1.
        centre: whether the pixel itself counts.

    Returns:
        Two of (N, C, H, W). Differentiable once.
    """
    return _Extremes.apply(mirrored(image, step, step), step, centre)  # type: ignore[no-untyped-call,no-any-return]


class _Extremes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, wide: Tensor, step: int, centre: bool) -> tuple[Tensor, Tensor]:
        # Of each row's three first, then of the three rows: fewer to compare, here and in the gradient.
        threes, results = [], []
        for combine in (torch.minimum, torch.maximum):
            three = _all_of(combine, _shifts(wide, -1, step))
            threes.append(three)
            results.append(_all_of(combine, _candidates(wide, three, step, centre)))
        ctx.save_for_backward(wide, *threes, *results)
        ctx.step, ctx.centre = step, centre
        return results[0], results[1]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        wide, *saved = ctx.saved_tensors
        to_wide = torch.zeros_like(wide)
        for gradient, three, result in zip(gradients, saved[:2], saved[2:], strict=True):
            to_three = torch.zeros_like(three)
            candidates = _candidates(wide, three, ctx.step, ctx.centre)
            _hand_out(gradient, result, candidates, _candidates(to_wide, to_three, ctx.step, ctx.centre))
            _hand_out(to_three, three, _shifts(wide, -1, ctx.step), _shifts(to_wide, -1, ctx.step))
        return to_wide, None, None


def _candidates(wide: Tensor, three: Tensor, step: int, centre: bool) -> list[Tensor]:
    """What the result is the extreme of: rows' extremes and, where the centre does not count, pixels; views."""
    above, here, below = _shifts(three, -2, step)
    if centre:
        return [above, here, below]
    left, _, right = _shifts(wide.narrow(-2, step, here.shape[-2]), -1, step)
    return [above, below, left, right]


def _shifts(wide: Tensor, dim: int, step: int) -> list[Tensor]:
    """Views of the pixels before, at and behind each along ``dim``."""
    count = wide.shape[dim] - 2 * step
    return [wide.narrow(dim, shift * step, count) for shift in range(3)]


def _all_of(combine: Combine, candidates: list[Tensor]) -> Tensor:
    result = combine(candidates[0], candidates[1])
    for candidate in candidates[2:]:
        result = combine(result, candidate)
    return result


def _hand_out(gradient: Tensor, extreme: Tensor, candidates: list[Tensor], to: list[Tensor]) -> None:
    """Adds the gradient to that of the first candidate that is the extreme."""
    rest, share = gradient.clone(), torch.empty_like(gradient)
    for candidate, place in zip(candidates[:-1], to[:-1], strict=True):
        torch.eq(candidate, extreme, out=share)  # as numbers: a mask of booleans takes twice as long, and branches
        place.add_(share.mul_(rest))
        rest.sub_(share)
    to[-1].add_(rest)
