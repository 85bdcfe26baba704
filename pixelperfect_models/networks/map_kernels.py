"""Compiled passes over F's maps: their enlargement, and what S reads of them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pixelperfect_models.networks.compiled import compiled
from pixelperfect_models.networks.enlarge import AFTER, BEFORE
from pixelperfect_models.networks.streaming import LANES, LINE, blend_line, finish_lines

Array: TypeAlias = npt.NDArray[np.float32]
Totals: TypeAlias = npt.NDArray[np.float64]

_BEFORE_1, _BEFORE_2, _AFTER_1, _AFTER_2 = (np.float32(x) for x in (*BEFORE, *AFTER))

_PAST_CACHES = 2_000_000
"""Values from which on enlarged maps are written past the caches: whoever reads smaller ones finds them there."""

_ONE, _TWO, _FOUR, _ZERO = (np.float32(x) for x in (1.0, 2.0, 4.0, 0.0))


@compiled
def signed_sums(rows: Array, channels: int) -> Totals:
    """Sums (3, C) over maps in [0, 1] of ``s = 2 x - 1``, of ``max(s, 0)^4`` and of ``max(-s, 0)^4``.

    ``rows``: (h, w * C), the channels of a place next to each other.
    """
    height, width = rows.shape
    sums = np.zeros((3, width), np.float32)
    plain, more, less = sums[0], sums[1], sums[2]
    for y in range(height):
        row = rows[y]
        for x in range(width):
            plain[x] += _TWO * row[x] - _ONE
        for x in range(width):
            square = max(_TWO * row[x] - _ONE, _ZERO)
            square *= square
            more[x] += square * square
        for x in range(width):
            square = max(_ONE - _TWO * row[x], _ZERO)
            square *= square
            less[x] += square * square
    found = np.zeros((3, channels), np.float64)
    for which in range(3):
        for x in range(width):
            found[which, x % channels] += sums[which, x]
    return found


@compiled
def of_signed_sums(rows: Array, upstream: Array, found: Array, start: int, stop: int) -> None:
    """Derivatives with respect to ``rows``, given those with respect to :func:`signed_sums`, ``upstream`` (3, C)."""
    width, channels = rows.shape[1], upstream.shape[1]
    wide = np.empty((3, width), np.float32)
    for which in range(3):
        for x in range(width):
            wide[which, x] = upstream[which, x % channels]
    plain, more, less = wide[0], wide[1], wide[2]
    for y in range(start, stop):
        row, out = rows[y], found[y]
        for x in range(width):
            signed = _TWO * row[x] - _ONE
            out[x] = _TWO * (plain[x] + _FOUR * signed * signed * signed * (more[x] if signed > _ZERO else less[x]))


@compiled
def enlarge_by_four(rows: Array, found: Array, start: int, stop: int) -> None:
    """Maps ``(h, w * K)``, channels last, to planes (K, 4 h, 4 w): what :func:`enlarge.enlarge_by_four` does.

    ``start`` and ``stop`` count rows of the small maps.
    """
    height = rows.shape[0]
    channels, _, width = found.shape
    past = found.size >= _PAST_CACHES
    # Rows above, here and below, enlarged along the row; each is made once and stays for three steps.
    wide, padded = np.empty((3, channels, width), np.float32), np.empty(width // 4 + 2, np.float32)
    for y in range(max(start - 1, 0), min(start + 1, height)):
        _widen(rows[y], padded, wide[y % 3])
    for y in range(start, stop):
        if y + 1 < height:
            _widen(rows[y + 1], padded, wide[(y + 1) % 3])
        above, here, below = wide[max(y - 1, 0) % 3], wide[y % 3], wide[min(y + 1, height - 1) % 3]
        for k in range(channels):
            _blend(above[k], here[k], _BEFORE_1, past, found[k, 4 * y])
            _blend(above[k], here[k], _BEFORE_2, past, found[k, 4 * y + 1])
            _blend(here[k], below[k], _AFTER_1, past, found[k, 4 * y + 2])
            _blend(here[k], below[k], _AFTER_2, past, found[k, 4 * y + 3])
    finish_lines()


@compiled
def _widen(row: Array, padded: Array, found: Array) -> None:
    """``(w * K,)`` to planes (K, 4 w); ``padded``: room for w + 2 places."""
    channels, columns = np.uintp(found.shape[0]), np.uintp(padded.shape[0] - 2)
    one = np.uintp(1)
    for k in range(channels):
        for x in range(columns):
            padded[x + one] = row[x * channels + k]
        padded[0], padded[columns + one] = padded[one], padded[columns]
        out = found[k]
        for x in range(padded.shape[0] - 2):
            here = padded[x + 1]
            left, right = here - padded[x], padded[x + 2] - here
            out[4 * x] = padded[x] + _BEFORE_1 * left
            out[4 * x + 1] = padded[x] + _BEFORE_2 * left
            out[4 * x + 2] = here + _AFTER_1 * right
            out[4 * x + 3] = here + _AFTER_2 * right


@compiled
def _blend(first: Array, second: Array, share: np.float32, past: bool, found: Array) -> None:
    """Of whole cache lines where they go past the caches, the ends of a row and all others in the ordinary way."""
    columns = found.shape[0]
    start = min((-found.ctypes.data % LINE) // 4, columns) if past else columns
    stop = start + (columns - start) // LANES * LANES
    for x in range(start):
        found[x] = first[x] + share * (second[x] - first[x])
    one, other, out = np.uintp(first.ctypes.data), np.uintp(second.ctypes.data), np.uintp(found.ctypes.data)
    for x in range(start, stop, LANES):
        place = np.uintp(4 * x)
        blend_line(one + place, other + place, share, out + place)
    for x in range(stop, columns):
        found[x] = first[x] + share * (second[x] - first[x])
