"""The knob x artefact table of the report: where its numbers come from, and its cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuner.objective import Judge
from tuner.parameter_space import Dimension, ParameterSpace
from tuner.report.format import duration, plain, signed, words
from tuner.report.knobs import Effect, Knobs, response_surface
from tuner.report.knobs_measured import evaluations, local_effects
from tuner.report.pictures import Sources, run_seeded
from tuner.report.records import RunRecords
from tuner.report.tables import shown_measures

LEAST = 0.005
"""Intensity units below which an effect is not told: a twentieth of a just visible change."""

WEAK = 0.3
"""Leave-one-out R² below which a column is drawn as uncertain."""

_MOST_RUNS = 48
_MOST_SECONDS = 90.0


@dataclass(frozen=True)
class KnobTable:
    """What the page shows: ``columns`` and ``rows`` for the template, ``note`` below them."""

    columns: Sequence[dict[str, Any]]
    rows: Sequence[dict[str, Any]]
    note: str


def knob_table(records: RunRecords, sources: Sources | str, judge: Judge) -> KnobTable:
    """Which searched parameter moves which distortion type, and which way.

    From the trials of a search that samples its space; measured beside the best parameters for one that follows a
    gradient, or that has too few trials, unless that would take more than a minute and a half.
    """
    if isinstance(sources, str):
        return KnobTable((), (), sources)
    dimensions = ParameterSpace.of(sources.pipeline, sources.recipe.pipeline).dimensions
    if not dimensions:
        return KnobTable((), (), "No parameter was searched.")
    samples = [
        trial
        for trial in records.trials
        if trial.value is not None and trial.statistics and all(d.name in trial.parameters for d in dimensions)
    ]
    distinct = len({tuple(trial.parameters[d.name] for d in dimensions) for trial in samples})
    needed = max(10, 2 * len(dimensions))
    sampled = records.result["strategy"] not in ("gradient", "sweep") and distinct >= needed
    count, seconds = _cost(records, sources, dimensions)
    if not sampled and seconds <= _MOST_SECONDS:
        knobs = local_effects(dimensions, records.best["parameters"], _measure(records, sources, judge, count))
        return _drawn(knobs, dimensions, judge.types, _measured_note(count))
    if distinct < needed:
        note = (
            f"{distinct} different trials are too few to tell {len(dimensions)} parameters apart; {needed} are needed."
        )
        return KnobTable((), (), note)
    targets = {name: [trial.statistics[name]["mean"] for trial in samples] for name in judge.types}
    for name in shown_measures(records):
        if all(name in trial.measures for trial in samples):
            targets[name] = [trial.measures[name] for trial in samples]
    knobs = response_surface(dimensions, [trial.parameters for trial in samples], targets)
    return _drawn(knobs, dimensions, judge.types, _fitted_note(distinct, sampled, seconds))


def _cost(records: RunRecords, sources: Sources, dimensions: Sequence[Dimension]) -> tuple[int, float]:
    """How many pictures to measure on, and about how long that takes."""
    runs = evaluations(dimensions)
    count = min(len(sources.pictures), max(1, _MOST_RUNS // runs))
    one = (records.best.get("seconds") or 0.0) / max(1, len(sources.pictures))
    return count, one * runs * count


def _measure(records: RunRecords, sources: Sources, judge: Judge, count: int) -> Any:
    pictures = sources.pictures[:count]
    references = []
    for picture in pictures:
        reference = picture.reference
        if reference is None:
            reference = run_seeded(sources, picture, records.start["parameters"]).image
        references.append(judge.prepare(reference))
    fixed = records.best["parameters"]
    looked_at = shown_measures(records)

    def measure(parameters: Mapping[str, Any]) -> dict[str, float] | None:
        totals: dict[str, float] = {}
        for picture, reference in zip(pictures, references, strict=True):
            try:
                output = run_seeded(sources, picture, {**fixed, **parameters})
            except Exception:  # a plug-in may raise anything; what the search met of it is in the table of trials
                return None
            with torch.no_grad():
                means = (2.0 * judge.judge(output.image, reference)[0][0] - 1.0).mean((1, 2)).tolist()
            row = dict(zip(judge.types, means, strict=True))
            row |= {name: float(output.measures[name]) for name in looked_at if name in output.measures}
            for name, value in row.items():
                totals[name] = totals.get(name, 0.0) + value / len(pictures)
        return totals

    return measure


def _measured_note(count: int) -> str:
    return (
        f"Measured round the best parameters on {count} picture{'' if count == 1 else 's'}, one parameter at a time: "
        "change of the mean excess, in intensity units, for a step of a tenth of the range searched (of a choice, "
        "between the two that differ most)."
    )


def _fitted_note(count: int, sampled: bool, seconds: float) -> str:
    note = (
        f"Fitted on {count} trials: change of the mean excess, in intensity units, as the parameter goes from the "
        "lower to the upper end of where nine tenths of the trials lie (of a choice, between the two that differ "
        "most). "
        "Explained: the share of the variance that the fit predicts of trials left out."
    )
    if not sampled:
        note += f" The trials follow a path, so read it with care; measuring would have taken {duration(seconds)}."
    return note


def _drawn(knobs: Knobs, dimensions: Sequence[Dimension], types: Sequence[str], note: str) -> KnobTable:
    targets = list(next(iter(knobs.effects.values()), ()))
    reach = {name: max(row[name].reach for row in knobs.effects.values()) for name in targets}
    shown = [
        name for name in targets if (name in types and reach[name] >= LEAST) or (name not in types and reach[name])
    ]
    largest = max([0.05, *(reach[name] for name in shown if name in types)])
    columns = [
        {
            "label": words(name),
            "artefact": name in types,
            "explained": f"{100 * knobs.explained[name]:.0f} %" if name in knobs.explained else "",
            "weak": knobs.explained.get(name, 1.0) < WEAK,
        }
        for name in shown
    ]
    rows = []
    for dimension in dimensions if knobs.effects else ():
        effects = knobs.effects[dimension.name]
        cells = [
            _cell(dimension, name, effects[name], largest if name in types else reach[name], name in types)
            for name in shown
        ]
        told = [
            (effects[name].reach, _in_words(name, effects[name]))
            for name in shown
            if name in types and _told(effects[name], LEAST) and knobs.explained.get(name, 1.0) >= WEAK
        ]
        top = [text for _, text in sorted(told, key=lambda pair: -pair[0])[:4]]
        rows.append({"name": dimension.name, "choice": dimension.choices is not None, "cells": cells, "words": top})
    still = [words(name) for name in targets if name not in shown and name in types]
    if still:
        note += f" Moved by none of them: {', '.join(still)}."
    return KnobTable(columns, rows, note)


def _told(effect: Effect, least: float) -> bool:
    return effect.reach >= least and effect.sure


def _cell(dimension: Dimension, name: str, effect: Effect, largest: float, artefact: bool) -> dict[str, Any]:
    told = _told(effect, LEAST if artefact else 1e-12)
    marks = {
        "rises": "\N{UPWARDS ARROW}",
        "falls": "\N{DOWNWARDS ARROW}",
        "peaks": "\N{INTERSECTION}",
        "dips": "\N{UNION}",
    }
    amount = signed(effect.change, 2) if artefact else plain(effect.change)
    if effect.shape in ("peaks", "dips", "choice"):
        amount = signed(effect.reach, 2).lstrip("+") if artefact else plain(effect.reach)
    strength = 0.0 if not told or largest <= 0 else min(1.0, effect.reach / largest)
    side = {"rises": "warm", "falls": "cool"}.get(effect.shape, "both") if artefact else "both"
    return {
        "text": amount if told else "",
        "mark": marks.get(effect.shape, "") if told else "",
        "most": str(effect.high) if told and effect.shape == "choice" else "",
        "side": side,
        # The square root keeps small but told effects visible beside a large one.
        "strength": f"{100 * math.sqrt(strength) * 0.62:.0f}%",
        "tip": _sentence(dimension, name, effect, told),
    }


def _sentence(dimension: Dimension, name: str, effect: Effect, told: bool) -> str:
    label = f"{dimension.name}, {words(name)}"
    if not told:
        return f"{label}: no effect that stands out"
    error = f" \N{PLUS-MINUS SIGN} {plain(effect.error)}" if effect.error else ""
    if effect.shape == "choice":
        return f"{label}: least with {effect.low}, most with {effect.high}, {plain(effect.reach)}{error} apart"
    if effect.shape in ("peaks", "dips"):
        most = "most" if effect.shape == "peaks" else "least"
        where = plain(effect.high if effect.shape == "peaks" else effect.low)
        return f"{label}: {most} at {where}, {plain(effect.reach)} apart"
    more = "more" if effect.change > 0 else "less"
    return f"{label}: {more} as it rises, {signed(effect.change)}{error}"


def _in_words(name: str, effect: Effect) -> str:
    label = words(name)
    if effect.shape == "choice":
        return (
            f"{label}: least with {effect.low}, most with {effect.high} ({signed(effect.reach, 2).lstrip('+')} apart)"
        )
    if effect.shape in ("peaks", "dips"):
        where = plain(effect.high if effect.shape == "peaks" else effect.low)
        return f"{'most' if effect.shape == 'peaks' else 'least'} {label} at {where}"
    return f"{'more' if effect.change > 0 else 'less'} {label} ({signed(effect.change, 2)})"
