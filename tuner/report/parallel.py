"""Parallel coordinates: every trial as one line over all parameters to its value."""

from __future__ import annotations

from typing import Any

from tuner.report.charts import Axis, line, open_line, svg, text, tick_text, value_range
from tuner.report.records import TrialRow

MOST_LINES = 400
"""Trials drawn at most: the better half of them the best ones, the rest spread evenly over the others."""

CLASSES = 5
"""Shades of a line, by the rank of the trial's value."""

_TOP, _BOTTOM, _HEIGHT, _LEFT, _RIGHT = 96, 300, 312, 60, 96
_CLOSEST = 84
"""Least distance of two axes, px."""


def parallel_plot(
    trials: tuple[TrialRow, ...], searched: dict[str, dict[str, Any]], best: int, room: int
) -> tuple[str, int]:
    """The drawing as SVG, and how many trials are in it.

    Args:
        trials: all trials; those without a value are left out.
        searched: each searched parameter's range as in the resolved recipe: low, high and log, or choices.
        best: the best trial's number.
        room: width of the page, px; the drawing is wider where its axes would stand closer than ``_CLOSEST``.
    """
    full = [trial for trial in trials if trial.value is not None and all(name in trial.parameters for name in searched)]
    shown = _chosen(full, best)
    if len(shown) < 2 or not searched:
        return "", 0
    gap = max(_CLOSEST, (room - _LEFT - _RIGHT) // len(searched))
    names = [*searched, "value"]
    width = _LEFT + gap * len(searched) + _RIGHT
    places = [_LEFT + gap * index for index in range(len(names))]
    values = [trial.value for trial in shown if trial.value is not None]
    # Values far below the others would press these together; they end at the foot of the axis.
    low, _ = value_range(values)
    axes: list[Any] = [_Scale(space) for space in searched.values()]
    axes.append(Axis(low, max(values), _BOTTOM, _TOP))
    parts = []
    ranked = sorted(shown, key=lambda trial: trial.value or 0.0)  # the better ones drawn later, above the others
    for rank, trial in enumerate(ranked):
        settings = [*(trial.parameters[name] for name in searched), trial.value]
        heights = [axis.at(setting) for axis, setting in zip(axes, settings, strict=True)]
        shade = min(CLASSES - 1, CLASSES * rank // len(ranked))
        css = "pc best" if trial.number == best else f"pc q{shade}"
        at = ",".join(f"{height:.0f}" for height in heights)
        parts.append(open_line(list(zip(places, heights, strict=True)), css, trial.number, f' data-at="{at}"'))
    for index, (place, name, axis) in enumerate(zip(places, names, axes, strict=True)):
        parts.append(line(place, _TOP, place, _BOTTOM, "pc-axis"))
        for height, label in _ticks(axis):
            parts.append(line(place - 4, height, place, height, "pc-axis"))
            parts.append(text(place - 7, height + 4, label, "tick pc-tick", "end"))
        turned = f'transform="rotate(-24 {place} {_TOP - 12})"'
        label = text(place, _TOP - 12, name, "label", "start")
        parts.append(label.replace("<text ", f"<text {turned} ", 1))
        parts.append(
            f'<rect class="pc-brush" x="{place - 9}" width="18" y="{_TOP}" height="0" data-axis="{index}"/>'
            f'<rect class="pc-hit" x="{place - 16}" width="32" y="{_TOP - 8}" height="{_BOTTOM - _TOP + 16}" '
            f'data-axis="{index}"/>'
        )
    label = f"{len(shown)} trials as lines over {', '.join(names)}; better values are darker"
    spare = max(0, _TOP - 30 - 3 * max(len(name) for name in names))  # turned names need the less the shorter they are
    drawing = svg(width, _HEIGHT, label, parts, "parallel")
    drawing = drawing.replace(f'viewBox="0 0 {width} {_HEIGHT}"', f'viewBox="0 {spare} {width} {_HEIGHT - spare}"')
    ends = f'data-top="{_TOP}" data-bottom="{_BOTTOM}" style="width:{width}px"'
    return drawing.replace("<svg ", f"<svg {ends} ", 1), len(shown)


def _chosen(trials: list[TrialRow], best: int) -> list[TrialRow]:
    if len(trials) <= MOST_LINES:
        return trials
    ordered = sorted(trials, key=lambda trial: (trial.number != best, -(trial.value or 0.0)))
    half = MOST_LINES // 2
    rest = ordered[half:]
    return ordered[:half] + [rest[round(i * (len(rest) - 1) / (half - 1))] for i in range(half)]


class _Scale:
    """A parameter's axis, its lower end at the bottom."""

    def __init__(self, space: dict[str, Any]) -> None:
        self.choices = [str(choice) for choice in space.get("choices") or ()]
        if self.choices:
            self.axis = Axis(-0.5, len(self.choices) - 0.5, _BOTTOM, _TOP)
        else:
            self.axis = Axis(float(space["low"]), float(space["high"]), _BOTTOM, _TOP, bool(space.get("log")))

    def at(self, setting: Any) -> float:
        if self.choices:
            return self.axis.at(self.choices.index(str(setting)))
        return self.axis.at(float(setting))


def _ticks(axis: Any) -> list[tuple[float, str]]:
    if isinstance(axis, Axis):
        return [(axis.at(tick), tick_text(tick)) for tick in axis.ticks(4)]
    if axis.choices:
        return [
            (axis.at(choice), choice if len(choice) <= 9 else f"{choice[:8]}\N{HORIZONTAL ELLIPSIS}")
            for choice in axis.choices
        ]
    inner = axis.axis
    return [(inner.at(end), tick_text(end)) for end in (inner.low, inner.high)]
