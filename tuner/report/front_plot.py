"""The Pareto front: the value against each measure that is an objective of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.report.charts import Axis, dot, frame, step_line, svg, text, tick_text, value_range
from tuner.report.records import RunRecords, TrialRow

MOST_COLOURS = 6


@dataclass(frozen=True)
class FrontPlot:
    """One drawing for wide and one for narrow pages, and what its colours stand for (empty: one colour)."""

    measure: str
    wide: str
    narrow: str
    colours: Sequence[str]
    by: str


def front_plots(records: RunRecords, front: Sequence[int]) -> list[FrontPlot]:
    """A plot for each Pareto measure of the recipe.

    Args:
        records: the run.
        front: numbers of the trials on the front.
    """
    terms = records.recipe.get("objective", {}).get("pareto", ())
    by, levels = _colours(records)
    plots = []
    for place, term in enumerate(terms, start=1):
        drawings = [
            _plot(records.trials, place, term["measure"], term.get("goal", "minimize"), set(front), by, levels, *size)
            for size in ((1080, 420), (380, 320))
        ]
        plots.append(FrontPlot(term["measure"], drawings[0], drawings[1], levels, by))
    return plots


def _colours(records: RunRecords) -> tuple[str, list[str]]:
    """The first choice among the searched parameters, and its levels: what most often makes the front's parts."""
    for name, space in records.recipe["pipeline"]["search"].items():
        levels = [str(choice) for choice in space.get("choices") or ()]
        if 1 < len(levels) <= MOST_COLOURS:
            return name, levels
    return "", []


def _plot(
    trials: Sequence[TrialRow],
    place: int,
    measure: str,
    goal: str,
    front: set[int],
    by: str,
    levels: list[str],
    width: int,
    height: int,
) -> str:
    shown = [trial for trial in trials if len(trial.values) > place]
    if not shown:
        return ""
    spots = {trial.number: (trial.values[place], trial.values[0]) for trial in shown}
    x = _measure_axis([at[0] for at in spots.values()], 56, width - 16)
    on_front = [spots[number] for number in spots if number in front]
    y = Axis(*value_range([at[1] for at in spots.values()], [at[1] for at in on_front]), height - 48, 14)
    parts = frame(x, y, [(x.at(tick), tick_text(tick)) for tick in x.ticks(4 if width < 500 else 8)])
    parts.append(text((x.start + x.stop) / 2, height - 6, f"{measure} ({goal})", "label"))
    parts.append(_outline(on_front, goal, x, y))
    for trial in sorted(shown, key=lambda trial: trial.number in front):
        at = spots[trial.number]
        shade = f" c{levels.index(str(trial.parameters[by]))}" if by in trial.parameters and levels else ""
        if trial.number in front:
            parts.append(dot(x.at(at[0]), y.at(at[1]), 6, f"front{shade}", trial=trial.number))
        else:
            hollow = " hollow" if trial.state == "infeasible" else ""
            parts.append(dot(x.at(at[0]), y.at(at[1]), 3.2, f"mark{hollow}{shade}", opacity=0.45, trial=trial.number))
    label = f"Objective value against {measure} of {len(shown)} trials, {len(on_front)} of them on the Pareto front"
    return svg(width, height, label, parts)


def _measure_axis(values: Sequence[float], start: float, stop: float) -> Axis:
    low, high = min(values), max(values)
    if low > 0 and high / low >= 20:
        return Axis(low / 1.1, high * 1.1, start, stop, log=True)
    pad = 0.04 * (high - low) or abs(high) * 0.05 or 1.0
    return Axis(low - pad, high + pad, start, stop)


def _outline(points: Sequence[tuple[float, float]], goal: str, x: Axis, y: Axis) -> str:
    """The border of what the front dominates: it keeps each point's value until the next point."""
    ordered = sorted(points, reverse=goal == "maximize")
    if len(ordered) < 2:
        return ""
    path, best = "", None
    for measured, value in ordered:
        if best is not None and value <= best:
            continue  # with three objectives a point of the front may lie behind others in this view
        path += (
            f"M{x.at(measured):.1f} {y.at(value):.1f}" if best is None else f"H{x.at(measured):.1f}V{y.at(value):.1f}"
        )
        best = value
    return f'<path class="front-line" d="{path}"/>'


def hypervolume_plot(shares: Sequence[float], width: int, height: int) -> str:
    """The hypervolume after each trial, as a share of the box that all trials span, 0 to 1."""
    x = Axis(0, max(len(shares) - 1, 1), 52, width - 16)
    y = Axis(0.0, 1.0, height - 44, 14)
    counts = [tick for tick in x.ticks(5 if width < 500 else 9) if float(tick).is_integer()]
    parts = frame(x, y, [(x.at(tick), str(int(tick))) for tick in counts], 4)
    parts.append(text((x.start + x.stop) / 2, height - 6, "trials", "label"))
    points = [(x.at(index), y.at(share)) for index, share in enumerate(shares)]
    parts.append(step_line(points, x.stop, "best-line"))
    return svg(width, height, f"Hypervolume over {len(shares)} trials, in the end {shares[-1]:.3f}", parts)
