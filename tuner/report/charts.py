"""Axes and marks for the report's plots, as inline SVG.

Own SVG in place of a plotting library: the report is one file, and plotly's script alone would be 4 MB of it. Colours
are CSS classes, so that the plots follow the page's light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tuner.report.format import MINUS


@dataclass(frozen=True)
class Axis:
    """A continuous axis from ``low`` to ``high``, drawn from pixel ``start`` to pixel ``stop``."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; values outside the axis land on its ends."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self._floor)))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.stop - self.start)

    @property
    def _floor(self) -> float:
        return self.low if self.log else -math.inf

    def ticks(self, count: int = 5) -> list[float]:
        """About ``count`` round values between ``low`` and ``high``."""
        if self.log and self.high / self.low >= 20:
            return _log_ticks(self.low, self.high, count)
        return _round_ticks(self.low, self.high, count)


def _round_ticks(low: float, high: float, count: int) -> list[float]:
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [f * 10.0**d for d in decades for f in factors if low * 0.999 <= f * 10.0**d <= high * 1.001]
        if len(ticks) <= count + 2:
            return ticks
    return ticks[:: -(-len(ticks) // count)]


def tick_text(value: float) -> str:
    """A tick's label: as few digits as tell it from its neighbours."""
    return f"{round(value, 12):.4g}".replace("-", MINUS)


def value_range(values: Sequence[float], always: Sequence[float] = ()) -> tuple[float, float]:
    """The range to plot objective values over.

    The worst values of a search are often far below all others and would flatten the rest: the range begins at the
    10th percentile less half of the way from there to the best value. Values below it are drawn at the edge.

    Args:
        values: all values, at least one.
        always: values that must lie inside.
    """
    ordered = sorted(values)
    top = ordered[-1]
    tenth = ordered[len(ordered) // 10]
    low = max(ordered[0], tenth - 0.5 * (top - tenth))
    low, high = min([low, *always]), max([top, *always])
    pad = 0.06 * (high - low) or max(abs(high), 1.0) * 0.05
    return low - pad, high + pad


def svg(width: int, height: int, label: str, body: Sequence[str], css: str = "") -> str:
    """A whole drawing with an accessible name."""
    return (
        f'<svg class="chart {css}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}">'
        + "".join(body)
        + "</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(x: float, y: float, content: str, css: str = "", anchor: str = "middle") -> str:
    """A line of text; ``anchor`` is start, middle or end."""
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def dot(
    x: float, y: float, radius: float, css: str, title: str = "", opacity: float = 1.0, trial: int | None = None
) -> str:
    """A round mark with a tooltip: ``title``, or on the report's page what the table says of ``trial``."""
    shade = "" if opacity >= 1.0 else f' opacity="{opacity:.2f}"'
    place = f'class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"{shade}{_of(trial)}'
    return f"<circle {place}>{_title(title)}</circle>" if title else f"<circle {place}/>"


def cross(x: float, y: float, size: float, css: str, trial: int) -> str:
    """A cross, for a trial that failed."""
    path = f"M{x - size:.1f} {y - size:.1f}l{2 * size:g} {2 * size:g}m0 {-2 * size:g}l{-2 * size:g} {2 * size:g}"
    return f'<path class="{css}" d="{path}"{_of(trial)}/>'


def open_line(points: Sequence[tuple[float, float]], css: str, trial: int | None = None, extra: str = "") -> str:
    """A line through the points, left to right; ``extra`` are attributes of its own."""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{css}" d="M{path}"{_of(trial)}{extra}/>'


def _of(trial: int | None) -> str:
    # The page's script finds the trial's row by this number: a text of its own for every mark would be megabytes.
    return "" if trial is None else f' data-t="{trial}"'


def _title(title: str) -> str:
    return f"<title>{escape(title)}</title>"


def step_line(points: Sequence[tuple[float, float]], until: float, css: str) -> str:
    """A line that keeps each value until the next point, ending at ``until``."""
    if not points:
        return ""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for x, y in points[1:]:
        path += f"H{x:.1f}V{y:.1f}"
    return f'<path class="{css}" d="{path}H{until:.1f}"/>'


def frame(x: Axis, y: Axis, x_ticks: Sequence[tuple[float, str]], y_count: int = 5) -> list[str]:
    """Grid lines and tick labels; ``x_ticks`` are (pixel, label)."""
    left, right = min(x.start, x.stop), max(x.start, x.stop)
    bottom = max(y.start, y.stop)
    parts = []
    for tick in y.ticks(y_count):
        parts.append(line(left, y.at(tick), right, y.at(tick), "grid"))
        parts.append(text(left - 8, y.at(tick) + 4, tick_text(tick), "tick", "end"))
    parts.append(line(left, bottom, right, bottom, "axis"))
    for place, label in x_ticks:
        parts.append(line(place, bottom, place, bottom + 4, "axis"))
        parts.append(text(place, bottom + 18, label, "tick"))
    return parts
