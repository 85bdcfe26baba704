"""The measurements of :mod:`similarity` as compiled passes over rows: :mod:`measurements` says when they are used.

Some 800 operations on small tensors, each hardly longer than its start, become a dozen passes. Both pictures of a pair
are treated alike and nothing is reordered (no ``fastmath``), so the answers keep their symmetries to the bit. Values
are float32, totals float64. Loops go over single rows of few arrays: those the compiler turns into vector instructions.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pixelperfect_models.networks.compiled import compiled

Array: TypeAlias = npt.NDArray[np.float32]
Totals: TypeAlias = npt.NDArray[np.float64]

LUMA, COLOR_1, COLOR_2, ACROSS, DOWN, GRADIENT, ACTIVITY = range(7)
"""Places of the views, as :func:`similarity.views` orders them."""

SCHARR, PREWITT = ((np.float32(side), np.float32(1.0 - 2.0 * side)) for side in (3.0 / 16.0, 1.0 / 3.0))
"""What :func:`fill_slopes` smooths by: the share of the neighbours and that of the middle."""

_ONE, _TWO, _HALF, _ZERO = (np.float32(x) for x in (1.0, 2.0, 0.5, 0.0))
_SIDE, _MIDDLE = SCHARR
_THIRD, _OTHER_THIRD = PREWITT
_ROOT_HALF = np.float32(math.sqrt(0.5))


@compiled
def block_means(image: Array, side: int, found: Array, start: int, stop: int) -> None:
    """Means over squares: (C, H, W) to (C, H // side, W // side), of whose rows those from ``start`` to ``stop``."""
    channels, _, columns = found.shape
    width = columns * side
    share = np.float32(1.0 / (side * side))
    row = np.empty(width, np.float32)
    for channel in range(channels):
        for y in range(start, stop):
            first = image[channel, y * side]
            for x in range(width):
                row[x] = first[x]
            for down in range(1, side):
                further = image[channel, y * side + down]
                for x in range(width):
                    row[x] += further[x]
            for x in range(columns):
                total = row[x * side]
                for right in range(1, side):
                    total += row[x * side + right]
                found[channel, y, x] = total * share


@compiled
def combine(planes: Array, weights: Array, found: Array) -> None:
    """Weighted sums of three planes: (3, h, w) and (C, 3) to (C, h, w)."""
    for channel in range(found.shape[0]):
        first, second, third = weights[channel]
        for y in range(found.shape[1]):
            a, b, c, row = planes[0, y], planes[1, y], planes[2, y], found[channel, y]
            for x in range(row.shape[0]):
                row[x] = first * a[x] + second * b[x] + third * c[x]


@compiled
def fill_slopes(plane: Array, side: np.float32, middle: np.float32, across: Array, down: Array) -> None:
    """Differences of neighbours, smoothed along the other axis by (side, middle, side), the border repeated."""
    height, width = plane.shape
    smooth = np.empty(width + 2, np.float32)
    below_less_above = np.empty(width + 2, np.float32)
    for y in range(height):
        above, here, below = plane[max(y - 1, 0)], plane[y], plane[min(y + 1, height - 1)]
        for x in range(width):
            smooth[x + 1] = side * (above[x] + below[x]) + middle * here[x]
            below_less_above[x + 1] = below[x] - above[x]
        for row in (smooth, below_less_above):
            row[0], row[width + 1] = row[1], row[width]
        right, downward = across[y], down[y]
        for x in range(width):
            right[x] = smooth[x + 2] - smooth[x]
            downward[x] = side * (below_less_above[x] + below_less_above[x + 2]) + middle * below_less_above[x + 1]


@compiled
def local_mean(plane: Array, found: Array) -> None:
    """Mean of the 5 x 5 pixels around each, of those within the picture."""
    height, width = plane.shape
    row = np.zeros(width + 4, np.float32)
    share = np.empty(width, np.float32)
    for x in range(width):
        share[x] = np.float32(1.0 / (min(x + 3, width) - max(x - 2, 0)))
    for y in range(height):
        start, stop = max(y - 2, 0), min(y + 3, height)
        for x in range(width):
            row[x + 2] = plane[start, x]
        for source in range(start + 1, stop):
            further = plane[source]
            for x in range(width):
                row[x + 2] += further[x]
        tall = np.float32(1.0 / (stop - start))
        out = found[y]
        for x in range(width):
            out[x] = (row[x] + row[x + 1] + row[x + 2] + row[x + 3] + row[x + 4]) * (share[x] * tall)


@compiled
def _steepness(across: Array, down: Array, epsilon: np.float32, found: Array) -> None:
    for x in range(found.shape[0]):
        found[x] = np.sqrt(across[x] * across[x] + down[x] * down[x] + epsilon)


@compiled
def fill_views(views: Array, epsilon: np.float32) -> None:
    """The four views that are made of luma, (7, h, w) in place: absolute slopes, gradient, activity."""
    luma = views[LUMA]
    height, width = luma.shape
    fill_slopes(luma, _SIDE, _MIDDLE, views[ACROSS], views[DOWN])
    mean = np.empty_like(luma)
    local_mean(luma, mean)
    for y in range(height):
        across, down, here, middle = views[ACROSS, y], views[DOWN, y], luma[y], mean[y]
        _steepness(across, down, epsilon, views[GRADIENT, y])
        for x in range(width):
            across[x] = abs(across[x])
        for x in range(width):
            down[x] = abs(down[x])
        for x in range(width):
            off = here[x] - middle[x]
            middle[x] = off * off
    activity = views[ACTIVITY]
    local_mean(mean, activity)
    for y in range(height):
        row = activity[y]
        for x in range(width):
            row[x] = np.sqrt(row[x] + epsilon)


@compiled
def _unlike(a: Array, b: Array, constant: np.float32, found: Array) -> None:
    for x in range(found.shape[0]):
        off = a[x] - b[x]
        found[x] = off * off / (a[x] * a[x] + b[x] * b[x] + constant)


@compiled
def _squared_difference(a: Array, b: Array, found: Array) -> None:
    for x in range(found.shape[0]):
        off = a[x] - b[x]
        found[x] = off * off


@compiled
def fill_unlikeness(a: Array, b: Array, constants: Array, maps: Array, weight: Array) -> None:
    """Two pictures' views (7, h, w) to unlikeness maps (10, h, w) and the edges' weight (h, w).

    The last map is left to the caller, who has faster logarithms. ``constants``: of gradients fine and coarse, slopes,
    activity fine and coarse, chroma, of luma over activity, and the least weight.
    """
    height, width = weight.shape
    fine, coarse, slope, active, very_active, chroma, over, least = constants
    other = np.empty(width, np.float32)
    for y in range(height):
        _unlike(a[GRADIENT, y], b[GRADIENT, y], fine, maps[0, y])
        _unlike(a[GRADIENT, y], b[GRADIENT, y], coarse, maps[1, y])
        _unlike(a[ACROSS, y], b[ACROSS, y], slope, maps[2, y])
        _unlike(a[DOWN, y], b[DOWN, y], slope, other)
        row = maps[2, y]
        for x in range(width):
            row[x] = (row[x] + other[x]) * _HALF
        _unlike(a[ACTIVITY, y], b[ACTIVITY, y], active, maps[3, y])
        _unlike(a[ACTIVITY, y], b[ACTIVITY, y], very_active, maps[4, y])
        _squared_difference(a[LUMA, y], b[LUMA, y], maps[6, y])
        _squared_difference(a[COLOR_1, y], b[COLOR_1, y], maps[7, y])
        _squared_difference(a[COLOR_2, y], b[COLOR_2, y], other)
        color, row = maps[7, y], maps[5, y]
        for x in range(width):
            color[x] += other[x]
        first, second = a[COLOR_1, y], b[COLOR_1, y]
        for x in range(width):
            other[x] = first[x] * first[x] + second[x] * second[x]
        first, second = a[COLOR_2, y], b[COLOR_2, y]
        for x in range(width):
            other[x] += first[x] * first[x] + second[x] * second[x]
        for x in range(width):
            row[x] = color[x] / (other[x] + chroma)
        first, second, luma, row = a[ACTIVITY, y], b[ACTIVITY, y], maps[6, y], maps[8, y]
        for x in range(width):
            row[x] = luma[x] / (first[x] * first[x] + second[x] * second[x] + over)
        first, second, row = a[GRADIENT, y], b[GRADIENT, y], weight[y]
        for x in range(width):
            row[x] = max(first[x], second[x]) + least


@compiled
def pool(maps: Array, weight: Array) -> Totals:
    """Means (K, 4) of maps (K, h, w): of values, squares about that, fourth powers, and values times weights (h, w)."""
    count, height, width = maps.shape
    found = np.empty((count, 4), np.float64)
    sums = np.empty((4, width), np.float32)
    plain, square, fourth, weighted = sums[0], sums[1], sums[2], sums[3]
    for k in range(count):
        sums[:] = _ZERO
        for y in range(height):
            row, weights = maps[k, y], weight[y]
            for x in range(width):
                plain[x] += row[x]
            for x in range(width):
                weighted[x] += row[x] * weights[x]
        center = np.float32(_total(plain) / (height * width))
        for y in range(height):
            row = maps[k, y]
            for x in range(width):
                off = row[x] - center
                square[x] += off * off
            for x in range(width):
                power = row[x] * row[x]
                fourth[x] += power * power
        for which in range(4):
            found[k, which] = _total(sums[which]) / (height * width)
    return found


@compiled
def _total(row: Array) -> float:
    total = 0.0
    for x in range(row.shape[0]):
        total += row[x]
    return total


@compiled
def mean(plane: Array) -> float:
    """Mean of (h, w)."""
    height, width = plane.shape
    sums = np.zeros(width, np.float32)
    for y in range(height):
        row = plane[y]
        for x in range(width):
            sums[x] += row[x]
    return _total(sums) / (height * width)


@compiled
def central_moments(planes: Array) -> Totals:
    """(C, h, w) to (3, C): means, and means of the squares and fourth powers about them."""
    count, height, width = planes.shape
    found = np.empty((3, count), np.float64)
    sums = np.empty((2, width), np.float32)
    for k in range(count):
        sums[:] = _ZERO
        square, fourth = sums[0], sums[1]
        middle = mean(planes[k])
        found[0, k] = middle
        center = np.float32(middle)
        for y in range(height):
            row = planes[k, y]
            for x in range(width):
                off = row[x] - center
                power = off * off
                square[x] += power
                fourth[x] += power * power
        found[1, k], found[2, k] = _total(square) / (height * width), _total(fourth) / (height * width)
    return found


@compiled
def _alike(a: Array, b: Array, constant: np.float32, found: Array) -> None:
    for x in range(found.shape[0]):
        found[x] = (_TWO * a[x] * b[x] + constant) / (a[x] * a[x] + b[x] * b[x] + constant)


@compiled
def luma_slopes(a: Array, b: Array, luma: Array) -> Array:
    """Prewitt's slopes of two pictures' luma, across and down, of the first and of the second: (4, h, w)."""
    _, height, width = a.shape
    plane = np.empty((1, height, width), np.float32)
    found = np.empty((4, height, width), np.float32)
    combine(a[:3], luma, plane)
    fill_slopes(plane[0], _THIRD, _OTHER_THIRD, found[0], found[1])
    combine(b[:3], luma, plane)
    fill_slopes(plane[0], _THIRD, _OTHER_THIRD, found[2], found[3])
    return found


@compiled
def combined_similarity(a: Array, b: Array, luma: Array, constants: Array, found: Array) -> None:
    """MDSI's combined similarity both ways round: views (7, h, w) of two pictures to (2, h, w).

    ``luma``: (1, 3) weights of the first three views; ``constants``: between the pictures, with their mean, of chroma,
    the gradients' share, and what keeps roots from zero.
    """
    _, height, width = found.shape
    between, with_mean, chroma, share, epsilon = constants
    slopes = luma_slopes(a, b, luma)
    rows = np.empty((5, width), np.float32)
    steep_a, steep_b, steep_mean, first, second = rows[0], rows[1], rows[2], rows[3], rows[4]
    for y in range(height):
        across_a, down_a, across_b, down_b = slopes[0, y], slopes[1, y], slopes[2, y], slopes[3, y]
        _steepness(across_a, down_a, epsilon, steep_a)
        _steepness(across_b, down_b, epsilon, steep_b)
        for x in range(width):
            first[x] = _HALF * (across_a[x] + across_b[x])
        for x in range(width):
            second[x] = _HALF * (down_a[x] + down_b[x])
        _steepness(first, second, epsilon, steep_mean)
        _alike(steep_a, steep_mean, with_mean, first)
        _alike(steep_b, steep_mean, with_mean, second)
        lean = first
        for x in range(width):
            lean[x] = share * (first[x] - second[x])
        common, both = steep_mean, second
        _alike(steep_a, steep_b, between, common)
        one, other = a[COLOR_1, y], b[COLOR_1, y]
        power = steep_a
        for x in range(width):
            power[x] = one[x] * one[x] + other[x] * other[x]
        for x in range(width):
            both[x] = one[x] * other[x]
        one, other = a[COLOR_2, y], b[COLOR_2, y]
        for x in range(width):
            power[x] += one[x] * one[x] + other[x] * other[x]
        for x in range(width):
            both[x] += one[x] * other[x]
        for x in range(width):
            common[x] = share * common[x] + (_ONE - share) * ((_TWO * both[x] + chroma) / (power[x] + chroma))
        plus, minus = found[0, y], found[1, y]
        for x in range(width):
            plus[x] = common[x] + lean[x]
        for x in range(width):
            minus[x] = common[x] - lean[x]


@compiled
def fourth_roots(combined: Array, under_root: np.float32) -> Array:
    """Complex fourth roots of (h, w), real and imaginary parts, (2, h, w): of negative values those at 45 degrees."""
    height, width = combined.shape
    roots = np.empty((2, height, width), np.float32)
    for y in range(height):
        values, real, imaginary = combined[y], roots[0, y], roots[1, y]
        for x in range(width):
            root = np.sqrt(np.sqrt(np.sqrt(values[x] * values[x] + under_root)))
            real[x] = root * _ROOT_HALF if values[x] < _ZERO else root
        for x in range(width):
            imaginary[x] = real[x] if values[x] < _ZERO else _ZERO
    return roots


@compiled
def root_deviation(combined: Array, under_root: np.float32, of_deviation: np.float32) -> tuple[float, float]:
    """Of the complex fourth root of (h, w): mean absolute deviation, and what its mean lacks of 1."""
    height, width = combined.shape
    roots = fourth_roots(combined, under_root)
    middle, middle_imaginary = mean(roots[0]), mean(roots[1])
    center, center_imaginary = np.float32(middle), np.float32(middle_imaginary)
    sums = np.zeros(width, np.float32)
    for y in range(height):
        real, imaginary = roots[0, y], roots[1, y]
        for x in range(width):
            off, off_imaginary = real[x] - center, imaginary[x] - center_imaginary
            sums[x] += np.sqrt(off * off + off_imaginary * off_imaginary + of_deviation)
    return _total(sums) / (height * width), max(1.0 - middle, 0.0)
