"""What the page says of the search: history, front, importances, parallel coordinates, slices, all trials."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from markupsafe import Markup

from tuner.report.figures import history, slice_plot
from tuner.report.format import plain, signed
from tuner.report.front_plot import front_plots, hypervolume_plot
from tuner.report.importances import importances
from tuner.report.parallel import parallel_plot
from tuner.report.records import RunRecords
from tuner.report.tables import shown_measures, trial_rows, units
from tuner.run_folder import PARETO

WIDE, NARROW = 1080, 380
"""Widths of the drawings for a desktop's page and for a phone's, px."""


def search_section(records: RunRecords) -> dict[str, Any]:
    """The template's names for all of it."""
    best = records.best["number"]
    kinds = Counter(trial.state for trial in records.trials)
    unit = units(records)
    space = records.recipe["pipeline"]["search"]
    slices = [slice_plot(records.trials, name, space[name], unit.get(name, ""), best) for name in space]
    objectives = ["value", *(term["measure"] for term in records.recipe.get("objective", {}).get("pareto", ()))]
    numbers, hypervolume, shares = _front(records)
    (wide, count), (narrow, _) = (parallel_plot(records.trials, space, best, width) for width in (WIDE, NARROW))
    return {
        "history_wide": Markup(history(records.trials, best, WIDE, 320)),
        "history_narrow": Markup(history(records.trials, best, NARROW, 280)),
        "fronts": front_plots(records, numbers),
        "front": _front_rows(records, numbers),
        "hypervolume": hypervolume,
        "covered": [Markup(hypervolume_plot(shares, width, 200)) for width in (WIDE, NARROW)] if shares else [],
        "objectives": objectives,
        "importances": importances(records.study, objectives, records.result["strategy"] == "gradient"),
        "parallel": Markup(wide),
        "parallel_narrow": Markup(narrow),
        "parallel_count": count,
        "valued_count": sum(trial.value is not None for trial in records.trials),
        "slices": [Markup(drawing) for drawing in slices if drawing],
        "searched": records.searched,
        "measures": shown_measures(records),
        "trials": trial_rows(records),
        "trial_kinds": sorted(kinds.items()),
        "seen": _seen(records),
        "kinds": {kind: kinds.get(kind, 0) for kind in ("infeasible", "pruned", "failed")},
    }


def _seen(records: RunRecords) -> str:
    """How many of the pictures were looked at, where trials were stopped early; else nothing."""
    pruning = records.result.get("pruning")
    return f"{100 * pruning['share']:.0f} % of the pictures looked at" if pruning and pruning["pruned"] else ""


def _front(records: RunRecords) -> tuple[list[int], str, list[float]]:
    """The numbers of the trials on the Pareto front, what they cover as text, and that share after each trial."""
    path = records.folder / PARETO
    if not path.is_file():
        return [], "", []
    record = json.loads(path.read_text(encoding="utf-8"))
    volume = record.get("hypervolume") or {}
    share = volume.get("share")
    text = "" if share is None else f"They cover {100 * share:.1f} % of the box that all trials span (hypervolume)."
    first: dict[tuple[float, ...], int] = {}  # a genetic search repeats settings: of equals the first is told
    values = {trial.number: trial.values for trial in records.trials}
    for number in sorted(row["number"] for row in record["front"]):
        first.setdefault(values[number], number)
    return list(first.values()), text, volume.get("history") or []


def _front_rows(records: RunRecords, numbers: list[int]) -> list[dict[str, Any]]:
    """The front's trials, the best value first, as text."""
    rows = [trial for trial in records.trials if trial.number in set(numbers) and trial.values]
    return [
        {
            "number": trial.number,
            "cells": [signed(trial.values[0], 4), *(plain(value) for value in trial.values[1:])],
            "settings": [plain(trial.parameters.get(name)) for name in records.searched],
        }
        for trial in sorted(rows, key=lambda trial: (-trial.values[0], trial.number))
    ]
