"""The report's plots of the value: history of the search, one slice per parameter."""

from __future__ import annotations

from typing import Any

from tuner.report.charts import Axis, cross, dot, frame, line, step_line, svg, text, tick_text, value_range
from tuner.report.format import plain
from tuner.report.records import TrialRow, best_so_far


def history(trials: tuple[TrialRow, ...], best: int, width: int, height: int) -> str:
    """Value of each trial and the best so far, as SVG.

    Args:
        trials: all trials.
        best: the best trial's number.
        width, height: of the drawing, px.
    """
    steps = best_so_far(trials)
    valued = [(trial, trial.value) for trial in trials if trial.value is not None]
    if not valued:
        return ""
    # The default's value belongs on every picture of the search, however bad it is.
    low, high = value_range([value for _, value in valued], [valued[0][1], *(value for _, value in steps)])
    last = max(trial.number for trial in trials)
    x = Axis(0, max(last, 1), 52, width - 16)
    y = Axis(low, high, height - 44, 14)
    counts = [tick for tick in x.ticks(5 if width < 500 else 9) if float(tick).is_integer()]
    parts = frame(x, y, [(x.at(tick), str(int(tick))) for tick in counts])
    parts.append(text((x.start + x.stop) / 2, height - 6, "trial", "label"))
    radius = 3.5 if last <= 120 else 2.5
    for trial in trials:
        if trial.value is not None:
            css = "mark" if trial.state == "complete" else "mark hollow"
            parts.append(dot(x.at(trial.number), y.at(trial.value), radius, css, trial=trial.number))
        elif trial.state in ("failed", "pruned"):
            css = "fail" if trial.state == "failed" else "pruned"
            parts.append(cross(x.at(trial.number), y.start - 7, 3.5, css, trial.number))
    parts.append(step_line([(x.at(number), y.at(value)) for number, value in steps], x.at(last), "best-line"))
    for trial, value in valued:
        if trial.number == best:
            parts.append(dot(x.at(best), y.at(value), 6, "mark-best", trial=best))
    label = f"Objective value of {len(trials)} trials; the best so far rises to {plain(steps[-1][1])}" if steps else ""
    return svg(width, height, label or "Objective value of the trials", parts)


def slice_plot(trials: tuple[TrialRow, ...], name: str, space: dict[str, Any], unit: str, best: int) -> str:
    """One parameter against the value, later trials darker, as SVG.

    Args:
        trials: all trials.
        name: the parameter.
        space: its range in the resolved recipe: low, high and log, or choices.
        unit: its unit, or "".
        best: the best trial's number.
    """
    width, height = 340, 220
    shown = [(trial, trial.value) for trial in trials if trial.value is not None and name in trial.parameters]
    if not shown:
        return ""
    low, high = value_range([value for _, value in shown])
    y = Axis(low, high, height - 42, 12)
    choices = [str(choice) for choice in space.get("choices") or ()]
    if choices:
        x = Axis(-0.5, len(choices) - 0.5, 52, width - 12)
        ticks = [(x.at(index), _clip(choice, 60 // len(choices) + 2)) for index, choice in enumerate(choices)]
    else:
        settings = [float(trial.parameters[name]) for trial, _ in shown]
        x = Axis(
            space.get("low", min(settings)), space.get("high", max(settings)), 52, width - 12, bool(space.get("log"))
        )
        ticks = [(x.at(tick), tick_text(tick)) for tick in x.ticks(4)]
    parts = frame(x, y, ticks, 4)
    parts.append(text((x.start + x.stop) / 2, height - 5, f"{name} ({unit})" if unit else name, "label"))
    newest = max(trial.number for trial, _ in shown) or 1
    for trial, value in sorted(shown, key=lambda pair: (pair[0].number == best, pair[0].number)):
        setting = trial.parameters[name]
        place = x.at(choices.index(str(setting)) if choices else float(setting))
        if trial.number == best:
            parts.append(line(place, y.start, place, y.stop, "best-rule"))
            parts.append(dot(place, y.at(value), 5.5, "mark-best", trial=best))
        else:
            css = "mark" if trial.state == "complete" else "mark hollow"
            age = 0.25 + 0.65 * trial.number / newest
            parts.append(dot(place, y.at(value), 3.2, css, opacity=age, trial=trial.number))
    return svg(width, height, f"Objective value against {name} over {len(shown)} trials", parts)


def _clip(label: str, length: int) -> str:
    return label if len(label) <= length else label[: max(1, length - 1)] + "\N{HORIZONTAL ELLIPSIS}"
