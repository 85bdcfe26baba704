"""Plots of an evaluation on rated pictures, as arrays: answers against ratings, and SRCC within each type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pixelperfect_models.evaluation.canvas import FAINT, GREY, INK, Axis, Canvas, Color, palette
from pixelperfect_models.evaluation.logistic import Fit

METHOD_COLORS: tuple[Color, ...] = ((208, 58, 36), (30, 102, 190), (24, 140, 90), (150, 80, 180), (190, 130, 20))
"""Vermilion for the judge, which comes first; the others after it."""

ROW = 28
"""Pixels from one type to the next."""


def scatter(result: Mapping[str, Any], method: str, title: str) -> np.ndarray:
    """One method's answers against the ratings: one colour and mark for each type, with the fitted function.

    Args:
        result: what :func:`.ratings.evaluate_ratings` returns.
        method: one of its methods, with a finite answer for at least one picture.
        title: how the plot calls it.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    rows = [row for row in result["rows"] if np.isfinite(row["answers"][method])]
    answers = np.array([row["answers"][method] for row in rows])
    mos = np.array([row["mos"] for row in rows])
    kinds = list(dict.fromkeys(row["type"] for row in result["rows"]))
    styles = dict(zip(kinds, palette(len(kinds)), strict=True))
    legend = max(150, 34 + max(Canvas(1, 1).text_width(_words(kind), 12) for kind in kinds))
    height = max(560, 92 + 18 * len(kinds))
    canvas = Canvas(round(680 + legend), height)
    x = Axis.around(answers, 78, 650)
    y = Axis.around(mos, height - 64, 58)
    canvas.frame(x, y, f"{title} (higher is better)", "human rating (higher is better)")
    radius = 3.6 if len(rows) < 1500 else 2.4
    for row, answer, rating in zip(rows, answers, mos, strict=True):
        color, mark = styles[row["type"]]
        canvas.mark((x.at(answer), y.at(rating)), mark, color, radius)
    stats = result["overall"][method]
    fit = Fit(
        stats["fit"]["function"], tuple(stats["fit"]["coefficients"]), stats["fit"]["center"], stats["fit"]["scale"]
    )
    along = np.linspace(x.low, x.high, 240)
    curve = [(x.at(a), y.at(b)) for a, b in zip(along, fit(along), strict=True) if y.low <= b <= y.high]
    if len(curve) > 1:
        canvas.line(curve, (255, 255, 255), 4.0)
        canvas.line(curve, INK, 2.0)
    canvas.text((78, 14), title, 18)
    canvas.text(
        (78, 37),
        f"SRCC {stats['srcc']:.3f} ({stats['low']:.3f} to {stats['high']:.3f})   PLCC {stats['plcc']:.3f}   "
        f"KRCC {stats['krcc']:.3f}   {stats['pictures']} pictures of {result['title']}",
        12,
        GREY,
    )
    for place, (kind, (color, mark)) in enumerate(styles.items()):
        top = 66 + 18 * place
        canvas.mark((676, top), mark, color, 4.2)
        canvas.text((688, top), _words(kind), 12, INK, "lm")
    return canvas.array()


def type_dots(result: Mapping[str, Any], methods: Sequence[str], titles: Mapping[str, str]) -> np.ndarray:
    """SRCC within each type, a line for each type and a dot for each method; types sorted by the first method.

    Args:
        result: what :func:`.ratings.evaluate_ratings` returns.
        methods: at most five, the judge first; its 95 % intervals are drawn.
        titles: how the plot calls them.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    table = result["types"]
    first = methods[0]
    kinds = sorted(table, key=lambda kind: np.nan_to_num(table[kind][first]["srcc"], nan=-2.0), reverse=True)
    found = np.array([table[kind][method]["srcc"] for kind in kinds for method in methods])
    found = found[np.isfinite(found)]
    lowest = float(found.min()) if len(found) else 0.0
    left = 30 + max(Canvas(1, 1).text_width(_words(kind), 13) for kind in kinds)
    width = round(left + 640)
    legend = _legend(result, methods, titles, width)
    top = 46 + 20 * (1 + legend[-1][0]) + 18
    bottom = top + ROW * len(kinds) - 8
    canvas = Canvas(width, round(bottom + 58))
    x = Axis(min(0.0, np.floor(lowest * 5) / 5), 1.02, left, left + 610)
    for value in x.ticks(8):
        canvas.line([(x.at(value), top - 14), (x.at(value), bottom)], FAINT)
        canvas.text((x.at(value), bottom + 6), f"{value:.1f}", 12, GREY, "ma")
    canvas.text(((x.start + x.stop) / 2, bottom + 28), "SRCC within the type (bar: 95 % interval)", 13, INK, "ma")
    canvas.text((16, 12), f"SRCC within each distortion type, {result['title']}", 18)
    for (row, pen, name), color in zip(legend, METHOD_COLORS, strict=False):
        canvas.mark((pen + 5, 52 + 20 * row), "disc", color, 4.5)
        canvas.text((pen + 15, 52 + 20 * row), name, 12, INK, "lm")
    # Each method has a lane of its own, so that equal figures do not hide each other.
    lanes = [4.0 * (place - (len(methods) - 1) / 2) for place in range(len(methods))]
    for place, kind in enumerate(kinds):
        middle = top + ROW * place
        canvas.text((left - 12, middle), _words(kind), 13, INK, "rm")
        low, high = table[kind][first]["interval"]
        if np.isfinite(low):
            ends = [(x.at(max(x.low, value)), middle + lanes[0]) for value in (low, high)]
            canvas.line(ends, (240, 178, 166), 3.0)
        for method, color, lane in reversed(list(zip(methods, METHOD_COLORS, lanes, strict=False))):
            value = table[kind][method]["srcc"]
            if np.isfinite(value):
                canvas.mark((x.at(value), middle + lane), "disc", color, 4.6 if method == first else 3.4)
    return canvas.array()


def _legend(
    result: Mapping[str, Any], methods: Sequence[str], titles: Mapping[str, str], width: float
) -> list[tuple[int, float, str]]:
    """(line, left edge in pixels, text) of each method's entry, wrapped to the plot's width."""
    found, row, pen = [], 0, 16.0
    for method in methods:
        name = f"{titles.get(method, method)} (mean {result['overall'][method]['mean_type_srcc']:.3f})"
        room = 34 + Canvas(1, 1).text_width(name, 12)
        if pen > 16 and pen + room > width:
            row, pen = row + 1, 16.0
        found.append((row, pen, name))
        pen += room
    return found


def _words(name: str) -> str:
    return name.replace("_", " ")
