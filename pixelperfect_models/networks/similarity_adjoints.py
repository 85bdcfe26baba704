"""How the answers of :mod:`similarity_kernels` change with the first picture of a pair, as compiled passes over rows.

An adjoint takes derivatives with respect to what a function gives, and adds those with respect to what it was given.
Derivatives of roots, absolute values, maxima and clamps are torch's: none at the kink of an absolute value, half of
each where two are equal. Values are float32, as there. No function of there is called from here: the compiler keeps its
work by file, and would not notice that another file has changed.
"""

from __future__ import annotations

import numpy as np

from pixelperfect_models.networks.compiled import compiled
from pixelperfect_models.networks.similarity_kernels import (
    ACROSS,
    ACTIVITY,
    COLOR_1,
    COLOR_2,
    DOWN,
    GRADIENT,
    LUMA,
    PREWITT,
    SCHARR,
    Array,
)

_ZERO, _QUARTER, _HALF, _ONE, _TWO = (np.float32(x) for x in (0.0, 0.25, 0.5, 1.0, 2.0))
_SIDE, _MIDDLE = SCHARR
_THIRD, _OTHER_THIRD = PREWITT


@compiled
def spread(means: Array, side: int, found: Array, start: int, stop: int) -> None:
    """Of :func:`block_means`: (C, h, w) added to (C, H, W), whose rows of the means from ``start`` to ``stop``."""
    share = np.float32(1.0 / (side * side))
    width = means.shape[2] * side
    row = np.empty(width, np.float32)
    for channel in range(means.shape[0]):
        for y in range(start, stop):
            for x in range(means.shape[2]):
                value = means[channel, y, x] * share
                for right in range(side):
                    row[x * side + right] = value
            for down in range(side):
                out = found[channel, y * side + down]
                for x in range(width):
                    out[x] += row[x]


@compiled
def _add_slopes(across: Array, down: Array, side: np.float32, middle: np.float32, found: Array) -> None:
    """Of :func:`fill_slopes`. A repeated border becomes one of opposite sign where differences are taken."""
    height, width = found.shape
    smooth, less = np.empty(width + 2, np.float32), np.empty(width + 2, np.float32)
    for y in range(height):
        above, here, below = across[max(y - 1, 0)], across[y], across[min(y + 1, height - 1)]
        for x in range(width):
            smooth[x + 1] = side * (above[x] + below[x]) + middle * here[x]
        smooth[0], smooth[width + 1] = -smooth[1], -smooth[width]
        above, below = down[max(y - 1, 0)], down[min(y + 1, height - 1)]
        first = -_ONE if y == 0 else _ONE
        last = -_ONE if y == height - 1 else _ONE
        for x in range(width):
            less[x + 1] = first * above[x] - last * below[x]
        less[0], less[width + 1] = less[1], less[width]
        out = found[y]
        for x in range(width):
            out[x] += smooth[x] - smooth[x + 2]
        for x in range(width):
            out[x] += side * (less[x] + less[x + 2]) + middle * less[x + 1]


@compiled
def _of_local_mean(plane: Array, found: Array) -> None:
    """Of :func:`local_mean`; written, not added."""
    height, width = plane.shape
    row = np.zeros(width + 4, np.float32)
    share = np.empty(width, np.float32)
    for x in range(width):
        share[x] = np.float32(1.0 / (min(x + 3, width) - max(x - 2, 0)))
    for y in range(height):
        row[2 : width + 2] = _ZERO
        for source in range(max(y - 2, 0), min(y + 3, height)):
            tall = np.float32(1.0 / (min(source + 3, height) - max(source - 2, 0)))
            further = plane[source]
            for x in range(width):
                row[x + 2] += tall * further[x]
        for x in range(width):
            row[x + 2] *= share[x]
        out = found[y]
        for x in range(width):
            out[x] = row[x] + row[x + 1] + row[x + 2] + row[x + 3] + row[x + 4]


@compiled
def add_views(views: Array, slopes: Array, middles: Array, upstream: Array, found: Array) -> None:
    """Of :func:`fill_views`, and of the colours themselves: ``upstream`` (7, h, w) added to ``found`` (3, h, w).

    ``slopes`` (2, h, w) and ``middles`` (h, w) of :func:`fill_slopes`, which is overwritten, and of :func:`local_mean`.
    """
    _, height, width = views.shape
    for y in range(height):
        of_gradient, gradient = upstream[GRADIENT, y], views[GRADIENT, y]
        for which in range(2):
            row, of_slope = slopes[which, y], upstream[ACROSS + which, y]
            for x in range(width):
                sign = _ONE if row[x] > _ZERO else (-_ONE if row[x] < _ZERO else _ZERO)
                row[x] = sign * of_slope[x] + row[x] * of_gradient[x] / gradient[x]
    _add_slopes(slopes[0], slopes[1], _SIDE, _MIDDLE, found[LUMA])
    other = slopes[1]
    for y in range(height):
        row, of_activity, activity = other[y], upstream[ACTIVITY, y], views[ACTIVITY, y]
        for x in range(width):
            row[x] = of_activity[x] / (_TWO * activity[x])
    of_square = np.empty((height, width), np.float32)
    _of_local_mean(other, of_square)
    for y in range(height):
        row, middle, luma = of_square[y], middles[y], views[LUMA, y]
        for x in range(width):
            row[x] *= _TWO * (luma[x] - middle[x])
    _of_local_mean(of_square, other)
    for y in range(height):
        row, less, out = of_square[y], other[y], found[LUMA, y]
        for x in range(width):
            out[x] += row[x] - less[x]
    for which in range(3):
        for y in range(height):
            row, out = upstream[which, y], found[which, y]
            for x in range(width):
                out[x] += row[x]


@compiled
def _of_pooled(values: Array, weight: Array, factors: Array, found: Array) -> None:
    constant, linear, cubic, weighted = factors[0], factors[1], factors[2], factors[3]
    for x in range(found.shape[0]):
        value = values[x]
        found[x] = constant + value * (linear + cubic * value * value) + weighted * weight[x]


@compiled
def _add_unlike(a: Array, b: Array, constant: np.float32, share: np.float32, upstream: Array, found: Array) -> None:
    for x in range(found.shape[0]):
        off, power = a[x] - b[x], a[x] * a[x] + b[x] * b[x] + constant
        found[x] += share * upstream[x] * _TWO * (off - off * off / power * a[x]) / power


@compiled
def add_unlikeness(
    a: Array, b: Array, constants: Array, maps: Array, weight: Array, factors: Array, log: np.float32, found: Array
) -> None:
    """Of :func:`fill_unlikeness` and :func:`pool`, added to ``found`` (7, h, w).

    ``factors`` (10, 6): of each map what its derivative is made of, a constant, times the value, times its cube, times
    the weight; then that of the weight, times the value's distance from a centre. ``log``: what is added to the squared
    activity under the last map's logarithm; the other ``constants`` as there.
    """
    count, height, width = maps.shape
    fine, coarse, slope, active, very_active, chroma, over, _ = constants
    upstream = np.empty((count, width), np.float32)
    of_weight, power = np.empty(width, np.float32), np.empty(width, np.float32)
    for y in range(height):
        of_weight[:] = _ZERO
        for k in range(count):
            row = maps[k, y]
            _of_pooled(row, weight[y], factors[k], upstream[k])
            factor, center = factors[k, 4], factors[k, 5]
            for x in range(width):
                of_weight[x] += factor * (row[x] - center)
        first, second, out = a[GRADIENT, y], b[GRADIENT, y], found[GRADIENT, y]
        _add_unlike(first, second, fine, _ONE, upstream[0], out)
        _add_unlike(first, second, coarse, _ONE, upstream[1], out)
        for x in range(width):
            share = _ONE if first[x] > second[x] else (_HALF if first[x] == second[x] else _ZERO)
            out[x] += share * of_weight[x]
        _add_unlike(a[ACROSS, y], b[ACROSS, y], slope, _HALF, upstream[2], found[ACROSS, y])
        _add_unlike(a[DOWN, y], b[DOWN, y], slope, _HALF, upstream[2], found[DOWN, y])
        first, second, out = a[ACTIVITY, y], b[ACTIVITY, y], found[ACTIVITY, y]
        _add_unlike(first, second, active, _ONE, upstream[3], out)
        _add_unlike(first, second, very_active, _ONE, upstream[4], out)
        of_log, of_ratio, ratio, of_luma = upstream[9], upstream[8], maps[8, y], upstream[6]
        for x in range(width):
            square, others = first[x] * first[x], second[x] * second[x]
            sign = _ONE if square > others else (-_ONE if square < others else _ZERO)
            power[x] = square + others + over
            out[x] += _TWO * first[x] * (of_log[x] * sign / (square + log) - of_ratio[x] * ratio[x] / power[x])
        first, second, out = a[LUMA, y], b[LUMA, y], found[LUMA, y]
        for x in range(width):
            out[x] += _TWO * (first[x] - second[x]) * (of_luma[x] + of_ratio[x] / power[x])
        of_chroma, unlike, of_color = upstream[5], maps[5, y], upstream[7]
        one, other, first, second = a[COLOR_1, y], b[COLOR_1, y], a[COLOR_2, y], b[COLOR_2, y]
        for x in range(width):
            power[x] = one[x] * one[x] + other[x] * other[x] + first[x] * first[x] + second[x] * second[x] + chroma
        out = found[COLOR_1, y]
        for x in range(width):
            off = one[x] - other[x]
            out[x] += _TWO * (off * of_color[x] + of_chroma[x] * (off - unlike[x] * one[x]) / power[x])
        out = found[COLOR_2, y]
        for x in range(width):
            off = first[x] - second[x]
            out[x] += _TWO * (off * of_color[x] + of_chroma[x] * (off - unlike[x] * first[x]) / power[x])


@compiled
def third_moment(plane: Array, center: np.float32) -> float:
    """Mean of the cubes about ``center`` of (h, w)."""
    height, width = plane.shape
    sums = np.zeros(width, np.float32)
    for y in range(height):
        row = plane[y]
        for x in range(width):
            off = row[x] - center
            sums[x] += off * off * off
    total = 0.0
    for x in range(width):
        total += sums[x]
    return total / (height * width)


@compiled
def add_cubic(plane: Array, center: np.float32, factors: Array, found: Array) -> None:
    """Of :func:`central_moments`: a constant, and factors times the distance from ``center`` and its cube."""
    constant, linear, cubic = factors
    for y in range(plane.shape[0]):
        row, out = plane[y], found[y]
        for x in range(plane.shape[1]):
            off = row[x] - center
            out[x] += constant + off * (linear + cubic * off * off)


@compiled
def of_root_deviation(
    combined: Array,
    roots: Array,
    centers: Array,
    constants: tuple[np.float32, np.float32],
    upstream: Array,
    found: Array,
) -> None:
    """Of :func:`root_deviation`: ``upstream`` (2,), of its two answers, to (h, w).

    ``roots`` (2, h, w) of :func:`fourth_roots`, ``centers`` their means, ``constants`` as there.
    """
    height, width = combined.shape
    under_root, of_deviation = constants
    count = np.float32(height * width)
    center, center_imaginary = centers
    sums = np.zeros(2, np.float64)
    away = np.empty((2, width), np.float32)
    for y in range(height):
        real, imaginary, off, off_imaginary = roots[0, y], roots[1, y], away[0], away[1]
        for x in range(width):
            apart, apart_imaginary = real[x] - center, imaginary[x] - center_imaginary
            length = np.sqrt(apart * apart + apart_imaginary * apart_imaginary + of_deviation)
            off[x], off_imaginary[x] = apart / length, apart_imaginary / length
        for which in range(2):
            row, total = away[which], _ZERO
            for x in range(width):
                total += row[x]
            sums[which] += total
    drift, drift_imaginary = np.float32(sums[0] / (height * width)), np.float32(sums[1] / (height * width))
    deviation = upstream[0] / count
    # What the mean lacks of 1 is never below 0.
    lack = upstream[1] / count if center <= _ONE else _ZERO
    for y in range(height):
        values, real, imaginary, out = combined[y], roots[0, y], roots[1, y], found[y]
        for x in range(width):
            apart, apart_imaginary = real[x] - center, imaginary[x] - center_imaginary
            length = np.sqrt(apart * apart + apart_imaginary * apart_imaginary + of_deviation)
            of_real = deviation * (apart / length - drift) - lack
            of_imaginary = deviation * (apart_imaginary / length - drift_imaginary)
            power = values[x] * values[x] + under_root
            # The root lies at 45 degrees below zero: its two parts are equal there.
            slope = _QUARTER * values[x] * real[x] / power
            out[x] = slope * (of_real + of_imaginary) if values[x] < _ZERO else slope * of_real


@compiled
def _steepness(across: Array, down: Array, epsilon: np.float32, found: Array) -> None:
    for x in range(found.shape[0]):
        found[x] = np.sqrt(across[x] * across[x] + down[x] * down[x] + epsilon)


@compiled
def _alike_slope(x: np.float32, y: np.float32, constant: np.float32) -> np.float32:
    """How (2 x y + c) / (x^2 + y^2 + c) changes with x."""
    power = x * x + y * y + constant
    return _TWO * (y - x * (_TWO * x * y + constant) / power) / power


@compiled
def add_combined_similarity(
    a: Array, b: Array, slopes: Array, luma: Array, constants: Array, upstream: Array, found: Array
) -> None:
    """Of :func:`combined_similarity`: ``upstream`` (2, h, w) added to ``found`` (3, h, w).

    ``slopes`` of :func:`luma_slopes`, which are overwritten.
    """
    _, height, width = upstream.shape
    between, with_mean, chroma, share, epsilon = constants
    rows = np.empty((6, width), np.float32)
    steep_a, steep_b, steep_mean, of_common, of_lean, power = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    for y in range(height):
        across_a, down_a, across_b, down_b = slopes[0, y], slopes[1, y], slopes[2, y], slopes[3, y]
        _steepness(across_a, down_a, epsilon, steep_a)
        _steepness(across_b, down_b, epsilon, steep_b)
        for x in range(width):
            across_b[x] = _HALF * (across_a[x] + across_b[x])
        for x in range(width):
            down_b[x] = _HALF * (down_a[x] + down_b[x])
        _steepness(across_b, down_b, epsilon, steep_mean)
        plus, minus = upstream[0, y], upstream[1, y]
        for x in range(width):
            of_common[x] = plus[x] + minus[x]
        for x in range(width):
            of_lean[x] = share * (plus[x] - minus[x])
        for x in range(width):
            of_mean = of_lean[x] * (
                _alike_slope(steep_mean[x], steep_a[x], with_mean) - _alike_slope(steep_mean[x], steep_b[x], with_mean)
            )
            of_a = share * of_common[x] * _alike_slope(steep_a[x], steep_b[x], between)
            of_a += of_lean[x] * _alike_slope(steep_a[x], steep_mean[x], with_mean)
            # In place: the slopes of this row are not read again.
            of_mean *= _HALF / steep_mean[x]
            of_a /= steep_a[x]
            across_a[x] = of_a * across_a[x] + of_mean * across_b[x]
            down_a[x] = of_a * down_a[x] + of_mean * down_b[x]
        one, other, first, second = a[COLOR_1, y], b[COLOR_1, y], a[COLOR_2, y], b[COLOR_2, y]
        for x in range(width):
            power[x] = one[x] * one[x] + other[x] * other[x] + first[x] * first[x] + second[x] * second[x] + chroma
        alike = steep_mean
        for x in range(width):
            alike[x] = (_TWO * (one[x] * other[x] + first[x] * second[x]) + chroma) / power[x]
        for x in range(width):
            of_common[x] *= (_ONE - share) * _TWO / power[x]
        out = found[COLOR_1, y]
        for x in range(width):
            out[x] += of_common[x] * (other[x] - one[x] * alike[x])
        out = found[COLOR_2, y]
        for x in range(width):
            out[x] += of_common[x] * (second[x] - first[x] * alike[x])
    plane = np.zeros((height, width), np.float32)
    _add_slopes(slopes[0], slopes[1], _THIRD, _OTHER_THIRD, plane)
    for which in range(3):
        weight = luma[0, which]
        for y in range(height):
            row, out = plane[y], found[which, y]
            for x in range(width):
                out[x] += weight * row[x]
