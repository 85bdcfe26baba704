"""What S measures of a pair, by the faster of two ways that give the same.

:mod:`similarity` and :mod:`mean_deviation` define the measurements on tensors: any device, with gradients. Where nobody
asks for a gradient, on a CPU, :mod:`similarity_kernels` makes them in a third of the time. Both agree but for the
rounding of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf

from pixelperfect_models.networks import mean_deviation as mdsi
from pixelperfect_models.networks import similarity
from pixelperfect_models.networks.compiled import compiles, in_rows, together


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
    if not compiles(image):
        return nnf.avg_pool2d(image, side)
    return torch.stack([torch.from_numpy(_block_mean(picture, side)) for picture in _arrays(image)])


def views(seen: torch.Tensor) -> list[torch.Tensor]:
    """:func:`similarity.views`: (N, 3, H, W) in [0, 1] to LEVELS tensors (N, 7, h, w)."""
    if not compiles(seen):
        return similarity.views(seen)
    pictures = [_views(picture) for picture in _arrays(seen)]
    return [torch.from_numpy(np.stack(level)) for level in zip(*pictures, strict=True)]


def measure_pairs(test: Sequence[torch.Tensor], ref: Sequence[torch.Tensor]) -> Measured:
    """All measurements of N pairs, given their :func:`views`; references may be N or one."""
    if not compiles(*test, *ref):
        ref = [level.expand(test[0].shape[0], -1, -1, -1) for level in ref]
        return Measured(*similarity.even_statistics(test, ref), similarity.odd_statistics(test, ref))
    tests, refs = (list(zip(*map(_arrays, picture), strict=True)) for picture in (test, ref))
    found = [_measure(one, refs[index if len(refs) > 1 else 0]) for index, one in enumerate(tests)]
    even, amount, odd = (torch.from_numpy(np.stack(part).astype(np.float32)) for part in zip(*found, strict=True))
    return Measured(even, amount, odd)


_LMN = np.array(similarity.LMN, np.float32)
_LUMA = np.array([mdsi.LUMA_OF_LMN], np.float32)
_UNLIKENESS = np.array(
    [
        similarity.GRADIENT_FINE,
        similarity.GRADIENT_COARSE,
        similarity.SLOPE,
        similarity.ACTIVITY_FINE,
        similarity.ACTIVITY_COARSE,
        mdsi.CHROMA_CONSTANT,
        similarity.OVER_ACTIVITY,
        similarity.LEAST_WEIGHT,
    ],
    np.float32,
)
_COMBINED = np.array(
    [mdsi.BETWEEN, mdsi.WITH_MEAN, mdsi.CHROMA_CONSTANT, mdsi.GRADIENT_SHARE, mdsi.OF_ROOT], np.float32
)
_ROOT = tuple(np.float32(x) for x in (mdsi.OF_ROOT, mdsi.OF_DEVIATION))


def _arrays(batch: torch.Tensor) -> list[np.ndarray]:
    return list(batch.detach().contiguous().numpy())


def _kernels() -> Any:
    # Only where it is used: importing numba takes half a second, and not every command judges pictures.
    from pixelperfect_models.networks import similarity_kernels

    return similarity_kernels


def _block_mean(picture: np.ndarray, side: int) -> np.ndarray:
    found = np.empty((picture.shape[0], picture.shape[1] // side, picture.shape[2] // side), np.float32)
    in_rows(found.shape[1], _kernels().block_means, picture, side, found)
    return found


def _views(picture: np.ndarray) -> list[np.ndarray]:
    kernels = _kernels()
    found: list[np.ndarray] = []
    height, width = picture.shape[1:]
    for level in range(similarity.LEVELS):
        here = np.empty((similarity.CHANNELS, height >> level, width >> level), np.float32)
        if level == 0:
            kernels.combine(picture, _LMN, here[:3])
        else:
            kernels.block_means(found[-1][:3], 2, here[:3], 0, height >> level)
        kernels.fill_views(here, np.float32(similarity.OF_ROOT))
        found.append(here)
    return found


def _measure(test: Sequence[np.ndarray], ref: Sequence[np.ndarray]) -> tuple[np.ndarray, float, np.ndarray]:
    """Even measurements, amount and odd ones of one pair, as the functions of :mod:`similarity` order them."""
    levels = list(zip(test, ref, strict=True))
    deviating = levels[: similarity.DEVIATION_LEVELS]
    pooled, deviations, more = together(
        [
            lambda: [_pooled_unlikeness(a, b) for a, b in levels],
            lambda: [_mean_deviation(a, b) for a, b in deviating],
            lambda: [_more(a, b) for a, b in levels],
        ]
    )
    shifts = [_shift(test[0], ref[0], side) for side in similarity.BLOCKS]
    amount = float(sum(of_level[0].sum() for of_level in pooled))
    even = np.concatenate([*chain(*pooled), *chain(*shifts), *chain(*deviations)])
    return even, amount, np.concatenate([*chain(*more)])


def _shift(a: np.ndarray, b: np.ndarray, side: int) -> list[np.ndarray]:
    block = min(side, *a.shape[-2:])
    shift = np.abs(_block_mean(a[:3], block) - _block_mean(b[:3], block)).astype(np.float64)
    return [(np.mean(shift**4, (1, 2)) + similarity.OF_FOURTH_ROOT) ** 0.25, np.mean(shift, (1, 2))]


def _pooled_unlikeness(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    kernels = _kernels()
    maps = np.empty((similarity.MAPS, *a.shape[1:]), np.float32)
    weight = np.empty(a.shape[1:], np.float32)
    kernels.fill_unlikeness(a, b, _UNLIKENESS, maps, weight)
    logs = (np.log(x[kernels.ACTIVITY] ** 2 + np.float32(similarity.OF_LOG_ACTIVITY)) for x in (a, b))
    np.abs(np.subtract(*logs), out=maps[-1])
    plain, square, fourth, weighted = kernels.pool(maps, weight).T
    return [
        plain,
        np.sqrt(square + similarity.OF_ROOT),
        (fourth + similarity.OF_FOURTH_ROOT) ** 0.25,
        weighted / kernels.mean(weight),
    ]


def _more(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    (mean, square, fourth), (mean_b, square_b, fourth_b) = (_kernels().central_moments(x) for x in (a, b))
    of_square, of_fourth = similarity.OF_LOG_SQUARE, similarity.OF_LOG_FOURTH
    return [
        mean - mean_b,
        np.log(square + of_square) - np.log(square_b + of_square),
        np.log(fourth + of_fourth) - np.log(fourth_b + of_fourth),
    ]


def _mean_deviation(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    kernels = _kernels()
    combined = np.empty((2, *a.shape[1:]), np.float32)
    kernels.combined_similarity(a, b, _LUMA, _COMBINED, combined)
    one, other = (np.array(kernels.root_deviation(plane, *_ROOT)) for plane in combined)
    return [np.minimum(one, other), np.maximum(one, other)]
