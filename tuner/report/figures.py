"""The report's plots: history of the search, one slice per parameter, parameter importances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from tuner.report.charts import Axis, cross, dot, frame, line, step_line, svg, text, tick_text, value_range
from tuner.report.format import plain, signed
from tuner.report.records import TrialRow, best_so_far

ENOUGH_TRIALS = 10
"""Completed trials below which importances would be an accident of the sampling; then a note stands in their place."""


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
            parts.append(dot(x.at(trial.number), y.at(trial.value), radius, css, _title(trial)))
        elif trial.state == "failed":
            parts.append(cross(x.at(trial.number), y.start - 7, 3.5, "fail", _title(trial)))
    parts.append(step_line([(x.at(number), y.at(value)) for number, value in steps], x.at(last), "best-line"))
    for trial, value in valued:
        if trial.number == best:
            parts.append(dot(x.at(best), y.at(value), 6, "mark-best", f"best: {_title(trial)}"))
    label = f"Objective value of {len(trials)} trials; the best so far rises to {plain(steps[-1][1])}" if steps else ""
    return svg(width, height, label or "Objective value of the trials", parts)


def _title(trial: TrialRow) -> str:
    value = "no value" if trial.value is None else f"value {signed(trial.value, 4)}"
    settings = ", ".join(f"{name} {plain(setting)}" for name, setting in trial.parameters.items())
    return f"trial {trial.number}: {value}; {settings}" + (f"; {trial.note}" if trial.note else "")


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
            parts.append(dot(place, y.at(value), 5.5, "mark-best", f"best: {_title(trial)}"))
        else:
            css = "mark" if trial.state == "complete" else "mark hollow"
            age = 0.25 + 0.65 * trial.number / newest
            parts.append(dot(place, y.at(value), 3.2, css, _title(trial), age))
    return svg(width, height, f"Objective value against {name} over {len(shown)} trials", parts)


def _clip(label: str, length: int) -> str:
    return label if len(label) <= length else label[: max(1, length - 1)] + "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class Importances:
    """Share of the value's variance that each searched parameter explains, largest first; or why there are none."""

    shares: Sequence[tuple[str, float]]
    note: str


def importances(study: optuna.Study, gradient: bool) -> Importances:
    """Parameter importances by functional ANOVA.

    F. Hutter, H. Hoos and K. Leyton-Brown, *An Efficient Approach for Assessing Hyperparameter Importance*, ICML 2014,
    as in ``optuna.importance``. Below ``ENOUGH_TRIALS`` completed trials, or where all of them have one value or one
    setting, no number is given.

    Args:
        study: the run's study.
        gradient: the trials are steps along a gradient, which is said beside the figures.
    """
    done = [t for t in study.get_trials(deepcopy=False) if t.state == optuna.trial.TrialState.COMPLETE]
    if len(done) < ENOUGH_TRIALS:
        note = f"{len(done)} completed trials are too few to tell importances from chance; {ENOUGH_TRIALS} are needed."
        return Importances((), note)
    if len({trial.values[0] for trial in done}) < 2:
        return Importances((), "All trials have the same value, so no parameter explains a difference.")
    try:
        # Optuna's 64 trees of depth 64 take over a minute for 500 trials; these take a second and gave the same shares.
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=7, seed=0)
        shares = optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: trial.values[0]
        )
    except (ValueError, RuntimeError) as error:
        return Importances((), f"Importances could not be computed: {error}")
    note = "Share of the variation of the objective value over the searched range that the parameter explains (fANOVA)."
    if gradient:
        note += " The trials follow a gradient, so they cover the range unevenly: read these shares as a rough order."
    return Importances(tuple(sorted(shares.items(), key=lambda item: -item[1])), note)
