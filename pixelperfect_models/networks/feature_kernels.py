"""What lies between F's convolutions, as compiled passes over rows: :mod:`inference` says where they belong.

Between two convolutions a large picture's features are read and written once instead of once for every operation. Rows
are of pictures with channels last, ``(h, w * C)``, in float32 or, as the bits in uint16, bfloat16; sums are float32.
Every function works on a range of rows, so that threads can share a picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from pixelperfect_models.networks.compiled import compiled

_ZERO, _HALF, _ONE, _TWO = (np.float32(x) for x in (0.0, 0.5, 1.0, 2.0))
_NEAR, _FAR = np.float32(0.75), np.float32(0.25)

Rows = np.ndarray[Any, Any]


def _get(row: Rows, place: Any) -> np.float32:
    """One value, as float32."""
    raise NotImplementedError("for compiled functions")


def _put(row: Rows, place: Any, value: np.float32) -> None:
    """One value, rounded to the row's type, to nearest and to even."""
    raise NotImplementedError("for compiled functions")


@overload(_get, strict=False)  # type: ignore[untyped-decorator]  # strict would compare annotations, too
def _compiled_get(row: Any, place: Any) -> Any:
    if row.dtype == types.uint16:
        return lambda row, place: np.uint32(np.uint32(row[place]) << np.uint32(16)).view(np.float32)
    return lambda row, place: row[place]


@overload(_put, strict=False)  # type: ignore[untyped-decorator]
def _compiled_put(row: Any, place: Any, value: Any) -> Any:
    if row.dtype == types.uint16:

        def put_half(row: Any, place: Any, value: Any) -> None:
            bits = np.float32(value).view(np.uint32)
            odd = (bits >> np.uint32(16)) & np.uint32(1)
            row[place] = np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))

        return put_half

    def put(row: Any, place: Any, value: Any) -> None:
        row[place] = value

    return put


@compiled
def center(planes: Rows, found: Rows, start: int, stop: int) -> None:
    """Planes (3, H, W) in [0, 1] to rows (H, W * 3), less a half."""
    for y in range(start, stop):
        red, green, blue, row = planes[0, y], planes[1, y], planes[2, y], found[y]
        for x in range(red.shape[0]):
            _put(row, 3 * x, red[x] - _HALF)
            _put(row, 3 * x + 1, green[x] - _HALF)
            _put(row, 3 * x + 2, blue[x] - _HALF)


@compiled
def spread_squares(rows: Rows, planes: Rows, start: int, stop: int) -> None:
    """Rows (h, w * 12), the three colours of the four pixels of each square, to planes (3, 2 h, 2 w)."""
    columns = np.uintp(rows.shape[1] // 12)
    for y in range(start, stop):
        row = rows[y]
        for k in range(6):
            down, color = k // 3, k % 3
            out = planes[color, 2 * y + down]
            first = np.uintp(6 * down + color)
            for x in range(columns):
                out[x + x] = row[np.uintp(12) * x + first]
                out[x + x + np.uintp(1)] = row[np.uintp(12) * x + first + np.uintp(3)]


@compiled
def _add_squares(rows: Rows, source: int, sums: Rows) -> None:
    if 0 <= source < rows.shape[0]:
        row = rows[source]
        for x in range(sums.shape[0]):
            value = _get(row, x)
            sums[x] += value * value


@compiled
def energy_and_positive(rows: Rows, channels: int, energy: Rows, positive: Rows, start: int, stop: int) -> None:
    """Mean squares in 4 x 4 neighbourhoods at half the size, and what is above zero.

    Rows ``(2 h, 2 w * C)`` to ``energy`` (h, w * C), float32, and ``positive``, as ``rows`` or without any; ``start``
    and ``stop`` count rows of ``energy``. Neighbourhoods reach one place beyond the two that they stand for, but not
    beyond the picture.
    """
    height, width = rows.shape
    columns = width // channels
    # Squares of the rows 2 y - 1 and 2 y, and of the two after them: half of the next neighbourhood.
    upper, lower = np.zeros(width, np.float32), np.zeros(width, np.float32)
    sums, pairs = np.zeros(width + 2 * channels, np.float32), np.empty(width + channels, np.float32)
    inner, next_to = sums[channels : channels + width], sums[channels:]
    places, count = np.uintp(columns // 2), np.uintp(channels)
    _add_squares(rows, 2 * start - 1, lower)
    _add_squares(rows, 2 * start, lower)
    for y in range(start, stop):
        upper, lower = lower, upper
        lower[:] = _ZERO
        _add_squares(rows, 2 * y + 1, lower)
        _add_squares(rows, 2 * y + 2, lower)
        for x in range(width):
            inner[x] = upper[x] + lower[x]
        for x in range(width + channels):
            pairs[x] = sums[x] + next_to[x]
        tall = min(2 * y + 3, height) - max(2 * y - 1, 0)
        found = energy[y]
        for x in range(places):
            share = _ONE / np.float32(tall * (min(2 * int(x) + 3, columns) - max(2 * int(x) - 1, 0)))
            here, twice = x * count, (x + x) * count
            for c in range(count):
                found[here + c] = (pairs[twice + c] + pairs[twice + count + count + c]) * share
        for source in range(2 * y, min(2 * y + 2, positive.shape[0])):
            row, above = rows[source], positive[source]
            for x in range(width):
                _put(above, x, max(_get(row, x), _ZERO))


@compiled
def of_energy_and_positive(
    rows: Rows, channels: int, of_energy: Rows, of_positive: Rows, found: Rows, start: int, stop: int
) -> None:
    """Derivatives with respect to ``rows``, from those with respect to what :func:`energy_and_positive` gives.

    ``of_energy``: (h, w * C), float32; ``of_positive``: (2 h, 2 w * C), or without rows where it was not asked for.
    """
    height, width = rows.shape
    columns = width // channels
    places, count = np.uintp(columns // 2), np.uintp(channels)
    # Shares of three rows of neighbourhoods, with empty ones at either side, and of the two that hold a row's pixels.
    shares, sums = np.zeros((3, width // 2 + 2 * channels), np.float32), np.empty(width // 2 + 2 * channels, np.float32)
    total = np.empty(width, np.float32)
    for y in range(start - 1, start + 1):
        _share(of_energy, y, height, columns, count, shares[y % 3])
    for y in range(start, stop):
        _share(of_energy, y + 1, height, columns, count, shares[(y + 1) % 3])
        here = shares[y % 3]
        for down in range(2):
            other, row, out = shares[(y - 1 + 2 * down) % 3], rows[2 * y + down], found[2 * y + down]
            for x in range(sums.shape[0]):
                sums[x] = here[x] + other[x]
            for x in range(places):
                left, twice = x * count, (x + x) * count
                for c in range(count + count):
                    total[twice + c] = sums[left + c]
                for c in range(count):
                    total[twice + c] += sums[left + count + c]
                for c in range(count):
                    total[twice + count + c] += sums[left + count + count + c]
            for x in range(width):
                total[x] *= _get(row, x)
            if of_positive.shape[0] > 0:
                given = of_positive[2 * y + down]
                for x in range(width):
                    total[x] += _get(given, x) if _get(row, x) > _ZERO else _ZERO
            for x in range(width):
                _put(out, x, total[x])


@compiled
def _share(of_energy: Rows, y: int, height: int, columns: int, count: Any, found: Rows) -> None:
    """Twice the derivatives at a row of neighbourhoods, by the size of each; none outside the picture."""
    if y < 0 or y >= of_energy.shape[0]:
        found[:] = _ZERO
        return
    row, inner = of_energy[y], found[count:]
    tall = min(2 * y + 3, height) - max(2 * y - 1, 0)
    for x in range(np.uintp(columns // 2)):
        share = _TWO / np.float32(tall * (min(2 * int(x) + 3, columns) - max(2 * int(x) - 1, 0)))
        here = x * count
        for c in range(count):
            inner[here + c] = row[here + c] * share


@compiled
def join(rows: Rows, channels: int, energy: Rows, joined: Rows, positive: Rows, start: int, stop: int) -> None:
    """``rows`` (h, w * C) and ``energy`` (h, w * E), float32, side by side, and the same with ``rows`` above zero only.

    ``joined`` and ``positive``: (h, w * (C + E)).
    """
    columns = rows.shape[1] // channels
    own, others = np.uintp(channels), np.uintp(energy.shape[1] // columns)
    both = own + others
    for y in range(start, stop):
        row, extra, out, above = rows[y], energy[y], joined[y], positive[y]
        for x in range(np.uintp(columns)):
            here, there = x * own, x * both
            for c in range(own):
                _put(out, there + c, _get(row, here + c))
            for c in range(own):
                _put(above, there + c, max(_get(row, here + c), _ZERO))
            here, there = x * others, there + own
            for c in range(others):
                _put(out, there + c, extra[here + c])
            for c in range(others):
                _put(above, there + c, extra[here + c])


@compiled
def of_join(
    rows: Rows,
    channels: int,
    of_joined: Rows,
    of_positive: Rows,
    of_rows: Rows,
    of_energy: Rows,
    start: int,
    stop: int,
) -> None:
    """Derivatives with respect to what :func:`join` was given, from those with respect to what it gave."""
    columns = rows.shape[1] // channels
    own, others = np.uintp(channels), np.uintp(of_energy.shape[1] // columns)
    both = own + others
    for y in range(start, stop):
        row, plain, above, out, extra = rows[y], of_joined[y], of_positive[y], of_rows[y], of_energy[y]
        for x in range(np.uintp(columns)):
            here, there = x * own, x * both
            for c in range(own):
                more = _get(above, there + c) if _get(row, here + c) > _ZERO else _ZERO
                _put(out, here + c, _get(plain, there + c) + more)
            here, there = x * others, there + own
            for c in range(others):
                extra[here + c] = _get(plain, there + c) + _get(above, there + c)


@compiled
def _along_row(values: Rows, columns: Any) -> Rows:
    """(C,) for each of ``columns`` places: (columns * C,)."""
    channels = np.uintp(values.shape[0])
    row = np.empty(columns * channels, np.float32)
    for x in range(columns):
        for c in range(channels):
            row[x * channels + c] = values[c]
    return row


@compiled
def merge(test: Rows, ref: Rows, gains: Rows, odd: Rows, even: Rows, start: int, stop: int) -> None:
    """Features of test and reference, (h, w * C), to what the two streams are convolved of.

    ``odd``: their compressed difference, (h, w * C); ``even``: their sum and that difference's magnitude side by side,
    (h, w * 2 C). ``gains``: (C,), float32, of :func:`antisymmetric.compress`.
    """
    width = test.shape[1]
    channels, columns = np.uintp(gains.shape[0]), np.uintp(width // gains.shape[0])
    gain, scaled = _along_row(gains, columns), np.empty(width, np.float32)
    for y in range(start, stop):
        row, other, apart, both = test[y], ref[y], odd[y], even[y]
        for x in range(width):
            difference = (_get(row, x) - _get(other, x)) * gain[x]
            scaled[x] = difference / np.sqrt(abs(difference) + _ONE)
        for x in range(width):
            _put(apart, x, scaled[x])
        for x in range(columns):
            here, there = x * channels, (x + x) * channels
            for c in range(channels):
                _put(both, there + c, _get(row, here + c) + _get(other, here + c))
            there += channels
            for c in range(channels):
                _put(both, there + c, abs(scaled[here + c]))


@compiled
def of_merge(
    test: Rows, ref: Rows, odd: Rows, even: Rows, gains: Rows, of_test: Rows, of_ref: Rows, start: int, stop: int
) -> None:
    """Derivatives with respect to what :func:`merge` was given, from those with respect to what it gave.

    ``of_test`` and ``of_ref``: (h, w * C), or without columns where they are not wanted.
    """
    width = test.shape[1]
    channels, columns = np.uintp(gains.shape[0]), np.uintp(width // gains.shape[0])
    gain, rows = _along_row(gains, columns), np.empty((3, width), np.float32)
    difference, of_sum, apart = rows[0], rows[1], rows[2]
    for y in range(start, stop):
        row, other, of_odd, both = test[y], ref[y], odd[y], even[y]
        for x in range(width):
            difference[x] = (_get(row, x) - _get(other, x)) * gain[x]
        for x in range(columns):
            here, there = x * channels, (x + x) * channels
            for c in range(channels):
                of_sum[here + c] = _get(both, there + c)
            there += channels
            for c in range(channels):
                apart[here + c] = _get(both, there + c)
        for x in range(width):
            size = abs(difference[x])
            sign = _ONE if difference[x] > _ZERO else (-_ONE if difference[x] < _ZERO else _ZERO)
            slope = gain[x] * (_HALF * size + _ONE) / ((size + _ONE) * np.sqrt(size + _ONE))
            apart[x] = slope * (_get(of_odd, x) + sign * apart[x])
        if of_test.shape[1] > 0:
            out = of_test[y]
            for x in range(width):
                _put(out, x, of_sum[x] + apart[x])
        if of_ref.shape[1] > 0:
            out = of_ref[y]
            for x in range(width):
                _put(out, x, of_sum[x] - apart[x])


@compiled
def positive_and_magnitude(even: Rows, odd: Rows, channels: int, found: Rows, start: int, stop: int) -> None:
    """``max(even, 0)`` and ``|odd|``, (h, w * C) each, side by side, (h, w * 2 C)."""
    count, columns = np.uintp(channels), np.uintp(even.shape[1] // channels)
    for y in range(start, stop):
        row, other, both = even[y], odd[y], found[y]
        for x in range(columns):
            here, there = x * count, (x + x) * count
            for c in range(count):
                _put(both, there + c, max(_get(row, here + c), _ZERO))
            there += count
            for c in range(count):
                _put(both, there + c, abs(_get(other, here + c)))


@compiled
def add_doubled(coarse: Rows, channels: int, fine: Rows, start: int, stop: int) -> None:
    """Adds to ``fine`` (H, W * C) the bilinear enlargement by two of ``coarse`` (h, w * C), cut to H and W.

    ``start`` and ``stop`` count rows of ``fine``. As ``interpolate(mode="bilinear", align_corners=False)``.
    """
    height, width = coarse.shape
    count, columns = np.uintp(channels), np.uintp(fine.shape[1] // channels)
    blended = np.empty(width + 2 * channels, np.float32)
    inner = blended[channels : channels + width]
    one, two = np.uintp(1), np.uintp(2)
    for y in range(start, stop):
        near, far = coarse[y // 2], coarse[min(max(y // 2 + 2 * (y % 2) - 1, 0), height - 1)]
        for x in range(width):
            inner[x] = _NEAR * _get(near, x) + _FAR * _get(far, x)
        blended[:channels] = inner[:channels]
        blended[channels + width :] = inner[width - channels :]
        row = fine[y]
        for x in range(columns):
            here, first = x * count, (x // two + one) * count
            other = first + count if x % two else first - count
            for c in range(count):
                _put(row, here + c, _get(row, here + c) + (_NEAR * blended[first + c] + _FAR * blended[other + c]))
