"""The report's tables as plain rows for the template."""

from __future__ import annotations

import math
from typing import Any

from pipelines import load
from pixelperfect_models.channels import CHANNEL_DOCS
from pixelperfect_models.errors import UserError
from tuner.report.format import plain, signed, words
from tuner.report.records import RunRecords, TrialRow


def parameter_rows(records: RunRecords) -> list[dict[str, Any]]:
    """Default and best of every parameter, with its range and where in it both lie (0 to 1, None for choices)."""
    search = records.recipe["pipeline"]["search"]
    documented = _documented(records.recipe["pipeline"])
    rows = []
    for name, best in records.best["parameters"].items():
        start, space = records.start["parameters"].get(name), search.get(name)
        parameter = documented.get(name)
        rows.append(
            {
                "name": name,
                "doc": getattr(parameter, "doc", ""),
                "unit": getattr(parameter, "unit", ""),
                "start": plain(start),
                "best": plain(best),
                "changed": start != best,
                "range": _range(space),
                "places": _places(space, start, best),
            }
        )
    return rows


def units(records: RunRecords) -> dict[str, str]:
    """The unit of every parameter that has one."""
    documented = _documented(records.recipe["pipeline"])
    return {name: parameter.unit for name, parameter in documented.items() if getattr(parameter, "unit", "")}


def _documented(pipeline: dict[str, Any]) -> dict[str, Any]:
    # A plug-in may be out of reach where the report is made; the table then goes without units and explanations.
    try:
        return dict(load(pipeline["name"], pipeline.get("options")).parameters)
    except UserError:
        return {}


def _range(space: dict[str, Any] | None) -> str:
    if space is None:
        return "fixed"
    if space.get("choices"):
        return ", ".join(str(choice) for choice in space["choices"])
    scale = ", log" if space.get("log") else ""
    return f"{plain(space['low'])} \N{HORIZONTAL ELLIPSIS} {plain(space['high'])}{scale}"


def _places(space: dict[str, Any] | None, *values: Any) -> list[float] | None:
    if space is None or space.get("choices"):
        return None
    return [_place(space, value) for value in values]


def _place(space: dict[str, Any], value: Any) -> float:
    low, high, number = float(space["low"]), float(space["high"]), float(value)
    if space.get("log"):
        low, high, number = math.log(low), math.log(high), math.log(max(number, float(space["low"])))
    return min(1.0, max(0.0, (number - low) / (high - low)))


def objective_rows(records: RunRecords) -> list[dict[str, Any]]:
    """What the objective value is made of at start and best: the score, every penalty, the sum."""
    weight = records.recipe.get("objective", {}).get("score", {}).get("weight", 1.0)
    label = "score" if weight == 1 else f"{plain(weight)} \N{MULTIPLICATION SIGN} score"
    start, best = records.start, records.best
    rows = [_term(label, weight * start["score"], weight * best["score"], "term")] if weight else []
    for name, cost in best["penalties"].items():
        kind, statistic, region = name.split("/", 2)
        where = "" if region == "all" else f", {region.rsplit('/', 1)[-1]}"
        rows.append(_term(f"{words(kind)} ({statistic}{where})", -start["penalties"].get(name, 0.0), -cost, "penalty"))
    if start.get("offset") or best.get("offset"):
        rows.append(_term("value of the incumbent", start.get("offset", 0.0), best.get("offset", 0.0), "term"))
    return [*rows, _term("objective value", start["value"], best["value"], "sum")]


def _term(label: str, start: float, best: float, kind: str) -> dict[str, Any]:
    return {
        "label": label,
        "start": signed(start),
        "best": signed(best),
        "change": signed(best - start),
        "good": best > start,
        "kind": kind,
    }


def constraint_rows(records: RunRecords) -> list[dict[str, Any]]:
    """Each limit on a measurement, and the measurement at start and best."""
    rows = []
    for constraint in records.recipe.get("objective", {}).get("constraints", ()):
        measure = constraint["measure"]
        for key, sign in (("at_most", "\N{LESS-THAN OR EQUAL TO}"), ("at_least", "\N{GREATER-THAN OR EQUAL TO}")):
            if constraint.get(key) is None:
                continue
            values = [side["measures"].get(measure) for side in (records.start, records.best)]
            rows.append(
                {
                    "label": f"{measure} {sign} {plain(constraint[key])}",
                    "start": plain(values[0]),
                    "best": plain(values[1]),
                    "met": values[1] is not None and _met(values[1], key, constraint[key]),
                }
            )
    return rows


def _met(value: float, key: str, limit: float) -> bool:
    return value <= limit if key == "at_most" else value >= limit


def map_rows(records: RunRecords) -> list[dict[str, Any]]:
    """Mean, p95 and max of every distortion type before and after, and both p95 as places for the drawing."""
    before, after = records.start["statistics"], records.best["statistics"]
    minded = {name.split("/", 1)[0] for name in records.best["penalties"]}
    rows: list[dict[str, Any]] = []
    for name, best in after.items():
        start = before.get(name, best)
        rows.append(
            {
                "type": words(name),
                "doc": CHANNEL_DOCS.get(name, ""),
                "minded": name in minded,
                "cells": [(signed(start[key]), signed(best[key])) for key in ("mean", "p95", "max")],
                "means": (start["mean"], best["mean"]),
                "quiet": all(abs(side[key]) < 0.0005 for side in (start, best) for key in ("mean", "p95", "max")),
            }
        )
    # One scale for all rows, so that their lengths compare; never so fine that noise of the judge looks like much.
    reach = max([0.1, *(abs(value) for row in rows for value in row["means"])])
    for row in rows:
        row["places"] = [50.0 + 50.0 * value / reach for value in row.pop("means")]
        row["reach"] = plain(round(reach, 2))
    return rows


def trial_rows(records: RunRecords) -> list[dict[str, Any]]:
    """All trials, with cells as text and as sort keys."""
    best, measures = records.best["number"], shown_measures(records)
    return [_trial(trial, records.searched, measures, trial.number == best) for trial in records.trials]


def shown_measures(records: RunRecords) -> list[str]:
    """The measures that the recipe looks at, in its order; ``seconds`` has a column of its own."""
    objective = records.recipe.get("objective", {})
    terms = [term["measure"] for key in ("pareto", "constraints", "costs") for term in objective.get(key, ())]
    return [name for name in dict.fromkeys(terms) if name != "seconds"]


def _trial(trial: TrialRow, searched: tuple[str, ...], measures: list[str], best: bool) -> dict[str, Any]:
    values = [trial.parameters.get(name) for name in searched]
    measured = [trial.measures.get(name) for name in measures]
    return {
        "number": trial.number,
        "state": "best" if best else trial.state,
        "kind": trial.state,
        "value": signed(trial.value, 4),
        "value_key": "" if trial.value is None else repr(trial.value),
        "score": signed(trial.score, 4),
        "score_key": "" if trial.score is None else repr(trial.score),
        "parameters": [(plain(value), "" if value is None else str(value)) for value in values],
        "measures": [(plain(value), "" if value is None else repr(value)) for value in measured],
        "seconds": plain(trial.seconds),
        "seconds_key": "" if trial.seconds is None else repr(trial.seconds),
        "note": trial.note,
    }
