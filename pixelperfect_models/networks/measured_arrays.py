"""S's measurements of one picture and of one pair as arrays, by compiled passes, and their derivatives.

What :mod:`similarity` and :mod:`mean_deviation` do with tensors. Views are lists of float32 arrays (7, h, w), one a
scale; :mod:`similarity_kernels` has the passes, :mod:`similarity_adjoints` those back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain

import numpy as np

from pixelperfect_models.networks import mean_deviation as mdsi
from pixelperfect_models.networks import similarity
from pixelperfect_models.networks.compiled import kernels
from pixelperfect_models.networks.threads import in_rows, together

Views = Sequence[np.ndarray]

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

_OF_LOG = np.float32(similarity.OF_LOG_ACTIVITY)


_kernels = partial(kernels, "similarity_kernels")
_adjoints = partial(kernels, "similarity_adjoints")


def block_mean(picture: np.ndarray, side: int) -> np.ndarray:
    """Means over squares: (C, H, W) to (C, H // side, W // side)."""
    found = np.empty((picture.shape[0], picture.shape[1] // side, picture.shape[2] // side), np.float32)
    in_rows(found.shape[1], _kernels().block_means, picture, side, found)
    return found


def add_block_mean(upstream: np.ndarray, side: int, found: np.ndarray) -> None:
    """Adds to ``found`` the derivatives with respect to the picture, given those with respect to :func:`block_mean`."""
    in_rows(upstream.shape[1], _adjoints().spread, upstream, side, found)


def views(picture: np.ndarray) -> list[np.ndarray]:
    """:func:`similarity.views` of (3, h, w)."""
    passes = _kernels()
    found: list[np.ndarray] = []
    height, width = picture.shape[1:]
    for level in range(similarity.LEVELS):
        here = np.empty((similarity.CHANNELS, height >> level, width >> level), np.float32)
        if level == 0:
            passes.combine(picture, _LMN, here[:3])
        else:
            passes.block_means(found[-1][:3], 2, here[:3], 0, height >> level)
        passes.fill_views(here, np.float32(similarity.OF_ROOT))
        found.append(here)
    return found


def of_views(found: Views, upstream: Views) -> np.ndarray:
    """Derivatives with respect to the picture (3, h, w), given its views and those with respect to them."""
    passes = _kernels()
    colors: np.ndarray | None = None
    for view, given in zip(reversed(found), reversed(upstream), strict=True):
        here = np.zeros((3, *view.shape[1:]), np.float32)
        if colors is not None:
            _adjoints().spread(colors, 2, here, 0, colors.shape[1])
        slopes, middles = np.empty((2, *view.shape[1:]), np.float32), np.empty(view.shape[1:], np.float32)
        passes.fill_slopes(view[passes.LUMA], *passes.SCHARR, slopes[0], slopes[1])
        passes.local_mean(view[passes.LUMA], middles)
        _adjoints().add_views(view, slopes, middles, given, here)
        colors = here
    assert colors is not None
    picture = np.empty_like(colors)
    passes.combine(colors, np.ascontiguousarray(_LMN.T), picture)
    return picture


def measure(test: Views, ref: Views) -> tuple[np.ndarray, float, np.ndarray]:
    """Even measurements, amount and odd ones of one pair, as the functions of :mod:`similarity` order them."""
    levels = list(zip(test, ref, strict=True))
    deviating = levels[: similarity.DEVIATION_LEVELS]
    finest, deviations, more, shifts, coarser = together(
        [
            lambda: [_pooled_unlikeness(*levels[0])],
            lambda: [_mean_deviation(a, b) for a, b in deviating],
            lambda: [_more(a, b) for a, b in levels],
            lambda: [_shift(test[0], ref[0], side) for side in similarity.BLOCKS],
            lambda: [_pooled_unlikeness(a, b) for a, b in levels[1:]],
        ]
    )
    pooled = [*finest, *coarser]
    amount = float(sum(of_level[0].sum() for of_level in pooled))
    even = np.concatenate([*chain(*pooled), *chain(*shifts), *chain(*deviations)])
    return even, amount, np.concatenate([*chain(*more)])


def _shift(a: np.ndarray, b: np.ndarray, side: int) -> list[np.ndarray]:
    block = min(side, *a.shape[-2:])
    shift = np.abs(block_mean(a[:3], block) - block_mean(b[:3], block)).astype(np.float64)
    return [(np.mean(shift**4, (1, 2)) + similarity.OF_FOURTH_ROOT) ** 0.25, np.mean(shift, (1, 2))]


def _pooled_unlikeness(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    return _pooled(*_unlikeness(a, b))


def _unlikeness(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps (10, h, w), and the weight of edges (h, w)."""
    passes = _kernels()
    maps = np.empty((similarity.MAPS, *a.shape[1:]), np.float32)
    weight = np.empty(a.shape[1:], np.float32)
    passes.fill_unlikeness(a, b, _UNLIKENESS, maps, weight)
    logs = (np.log(x[passes.ACTIVITY] ** 2 + _OF_LOG) for x in (a, b))
    np.abs(np.subtract(*logs), out=maps[-1])
    return maps, weight


def _pooled(maps: np.ndarray, weight: np.ndarray) -> list[np.ndarray]:
    """Mean, deviation, 4-norm and mean at edges, (10,) each."""
    plain, square, fourth, weighted = _kernels().pool(maps, weight).T
    return [
        plain,
        np.sqrt(square + similarity.OF_ROOT),
        (fourth + similarity.OF_FOURTH_ROOT) ** 0.25,
        weighted / _kernels().mean(weight),
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
    _, one, other = _combined(a, b)
    return [np.minimum(one, other), np.maximum(one, other)]


def _combined(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Combined similarity (2, h, w), either way round, and what each is pooled to, (2,)."""
    combined = np.empty((2, *a.shape[1:]), np.float32)
    _kernels().combined_similarity(a, b, _LUMA, _COMBINED, combined)
    one, other = (np.array(_kernels().root_deviation(plane, *_ROOT)) for plane in combined)
    return combined, one, other


def of_measured(test: Views, ref: Views, even: np.ndarray, amount: float, odd: np.ndarray) -> list[np.ndarray]:
    """Derivatives with respect to the views of ``test``, given those with respect to what :func:`measure` gives.

    Those with respect to ``ref`` are these with both changed over and ``odd`` negative.
    """
    levels = list(zip(test, ref, strict=True))
    deviating = levels[: similarity.DEVIATION_LEVELS]
    of_pooled, rest = np.split(even, [len(levels) * 4 * similarity.MAPS])
    of_shifts, of_deviations = np.split(rest, [len(similarity.BLOCKS) * 2 * 3])
    pooled = of_pooled.reshape(len(levels), 4, similarity.MAPS) + amount * np.array([1.0, 0.0, 0.0, 0.0])[:, None]
    views_of_levels = odd.reshape(len(levels), 3, similarity.CHANNELS)
    found, more = together(
        [
            lambda: [_of_pooled_unlikeness(a, b, given) for (a, b), given in zip(levels, pooled, strict=True)],
            lambda: [
                *map(_of_mean_deviation, *zip(*deviating, strict=True), of_deviations.reshape(len(deviating), 2, 2))
            ],
        ]
    )
    for whole, part in zip(found, more, strict=False):
        whole[:3] += part
    for whole, view, given in zip(found, test, views_of_levels, strict=True):
        _add_more(view, given, whole)
    for side, given in zip(similarity.BLOCKS, of_shifts.reshape(-1, 2, 3), strict=True):
        _add_shift(test[0], ref[0], side, given, found[0])
    return found


def _of_pooled_unlikeness(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> np.ndarray:
    maps, weight = _unlikeness(a, b)
    plain, deviation, worst, at_edges = _pooled(maps, weight)
    of_plain, of_deviation, of_worst, of_edges = given / weight.size
    of_edges = of_edges / _kernels().mean(weight)
    linear = of_deviation / deviation
    factors = np.stack([of_plain - linear * plain, linear, of_worst / worst**3, of_edges, of_edges, at_edges], axis=1)
    found = np.zeros_like(a)
    _adjoints().add_unlikeness(a, b, _UNLIKENESS, maps, weight, factors.astype(np.float32), _OF_LOG, found)
    return found


def _add_more(view: np.ndarray, given: np.ndarray, found: np.ndarray) -> None:
    means, squares, fourths = _kernels().central_moments(view)
    for k, (mean, square, fourth) in enumerate(zip(means, squares, fourths, strict=True)):
        center, pixels = np.float32(mean), view[k].size
        linear = 2.0 * given[1, k] / (square + similarity.OF_LOG_SQUARE) / pixels
        cubic = 4.0 * given[2, k] / (fourth + similarity.OF_LOG_FOURTH) / pixels
        # Fourth powers are of distances from a mean that moves, too.
        constant = given[0, k] / pixels - cubic * _adjoints().third_moment(view[k], center)
        _adjoints().add_cubic(view[k], center, np.array([constant, linear, cubic], np.float32), found[k])


def _add_shift(a: np.ndarray, b: np.ndarray, side: int, given: np.ndarray, found: np.ndarray) -> None:
    block = min(side, *a.shape[-2:])
    shift = (block_mean(a[:3], block) - block_mean(b[:3], block)).astype(np.float64)
    blocks = shift[0].size
    worst = (np.mean(shift**4, (1, 2), keepdims=True) + similarity.OF_FOURTH_ROOT) ** 0.25
    of_worst, of_mean = given[:, :, None, None] / blocks
    upstream = (of_worst * shift**3 / worst**3 + of_mean * np.sign(shift)).astype(np.float32)
    _adjoints().spread(upstream, block, found[:3], 0, upstream.shape[1])


def _of_mean_deviation(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> np.ndarray:
    passes = _kernels()
    combined, one, other = _combined(a, b)
    # Of two equal ones half of the smaller and half of the larger.
    smaller = np.where(one < other, 1.0, np.where(one > other, 0.0, 0.5))
    upstream = np.empty_like(combined)
    for plane, share, out in zip(combined, (smaller, 1.0 - smaller), upstream, strict=True):
        of_plane = share * given[0] + (1.0 - share) * given[1]
        roots = passes.fourth_roots(plane, _ROOT[0])
        centers = np.array([passes.mean(roots[0]), passes.mean(roots[1])], np.float32)
        _adjoints().of_root_deviation(plane, roots, centers, _ROOT, of_plane.astype(np.float32), out)
    found = np.zeros((3, *a.shape[1:]), np.float32)
    _adjoints().add_combined_similarity(a, b, passes.luma_slopes(a, b, _LUMA), _LUMA, _COMBINED, upstream, found)
    return found
