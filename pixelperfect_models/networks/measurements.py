"""What S measures of a pair, by the faster of two ways that give the same.

:mod:`similarity` and :mod:`mean_deviation` define the measurements on tensors: any device, any type, differentiable as
often as one likes. On a CPU, in float32, :mod:`measured_arrays` makes them in a third of the time, and their first
derivatives; higher ones go by tensors. Both agree but for the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf

from pixelperfect_models.networks import measured_arrays, similarity
from pixelperfect_models.networks.compiled import by_tensors, compiles


class Measured(NamedTuple):
    """What S reads of N pairs of pictures."""

    even: torch.Tensor
    """(N, EVEN_STATISTICS), >= 0: :func:`similarity.even_statistics`."""
    amount: torch.Tensor
    """(N,), >= 0, 0 for equal pictures."""
    odd: torch.Tensor
    """(N, ODD_STATISTICS): :func:`similarity.odd_statistics`."""


def block_mean(image: torch.Tensor, side: int) -> torch.Tensor:
    """Means over squares of ``side`` pixels: (N, C, H, W) to (N, C, H // side, W // side)."""
    if not compiles(image, differentiable=True):
        return nnf.avg_pool2d(image, side)
    return _BlockMean.apply(image, side)  # type: ignore[no-any-return]


def views(seen: torch.Tensor) -> list[torch.Tensor]:
    """:func:`similarity.views`: (N, 3, H, W) in [0, 1] to LEVELS tensors (N, 7, h, w)."""
    if not compiles(seen, differentiable=True):
        return similarity.views(seen)
    return list(_Views.apply(seen))


def measure_pairs(test: Sequence[torch.Tensor], ref: Sequence[torch.Tensor]) -> Measured:
    """All measurements of N pairs, given their :func:`views`; references may be N or one."""
    if not compiles(*test, *ref, differentiable=True):
        ref = [level.expand(test[0].shape[0], -1, -1, -1) for level in ref]
        return Measured(*similarity.even_statistics(test, ref), similarity.odd_statistics(test, ref))
    return Measured(*_Measured.apply(*test, *ref))


class _BlockMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, side: int) -> torch.Tensor:
        ctx.save_for_backward(image)
        ctx.side = side
        return _stacked([measured_arrays.block_mean(picture, side) for picture in _arrays(image)])

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None]:
        (image,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return by_tensors(lambda: [block_mean(image, ctx.side)], [image], [upstream])[0], None
        found = torch.zeros(image.shape)
        for given, picture in zip(_arrays(upstream), found.numpy(), strict=True):
            measured_arrays.add_block_mean(given, ctx.side, picture)
        return found, None


class _Views(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        pictures = [measured_arrays.views(picture) for picture in _arrays(seen)]
        levels = [_stacked(level) for level in zip(*pictures, strict=True)]
        ctx.save_for_backward(seen, *levels)
        return tuple(levels)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> torch.Tensor | None:
        seen, *levels = ctx.saved_tensors
        if torch.is_grad_enabled():
            return by_tensors(lambda: views(seen), [seen], upstream)[0]
        found, given = (zip(*map(_arrays, x), strict=True) for x in (levels, upstream))
        return _stacked([measured_arrays.of_views(*both) for both in zip(found, given, strict=True)])


class _Measured(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *levels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(*levels)
        found = [measured_arrays.measure(*pair) for pair in _pairs(levels)]
        even, amount, odd = (_stacked([np.float32(x) for x in part]) for part in zip(*found, strict=True))
        return even, amount, odd

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        levels = ctx.saved_tensors
        half = len(levels) // 2
        if torch.is_grad_enabled():
            return by_tensors(lambda: measure_pairs(levels[:half], levels[half:]), levels, upstream)
        given = [x.double().numpy() for x in upstream]
        of_test: list[list[np.ndarray]] = []
        of_ref: list[list[np.ndarray]] = []
        for (test, ref), even, amount, odd in zip(_pairs(levels), *given, strict=True):
            if any(ctx.needs_input_grad[:half]):
                of_test.append(measured_arrays.of_measured(test, ref, even, amount, odd))
            if any(ctx.needs_input_grad[half:]):
                of_ref.append(measured_arrays.of_measured(ref, test, even, amount, -odd))
        none: list[torch.Tensor | None] = [None] * half
        found = [_stacked(level) for level in zip(*of_test, strict=True)] or none
        # One reference for all tests has what all of them give.
        others = [_stacked(level) for level in zip(*of_ref, strict=True)] or none
        shapes = (level.shape for level in levels[half:])
        return *found, *(x if x is None else x.sum_to_size(shape) for x, shape in zip(others, shapes, strict=True))


def _pairs(levels: Sequence[torch.Tensor]) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Views of N tests, then of N references or one, to those of each pair."""
    half = len(levels) // 2
    tests, refs = (
        [list(one) for one in zip(*map(_arrays, part), strict=True)] for part in (levels[:half], levels[half:])
    )
    return [(one, refs[index if len(refs) > 1 else 0]) for index, one in enumerate(tests)]


def _arrays(batch: torch.Tensor) -> list[np.ndarray]:
    return list(batch.detach().contiguous().numpy())


def _stacked(parts: Sequence[Any]) -> torch.Tensor:
    return torch.from_numpy(np.stack(parts))
