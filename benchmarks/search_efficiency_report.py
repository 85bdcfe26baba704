"""The tables, the JSON and the picture of ``search_efficiency.py``, from the runs that are kept."""

from __future__ import annotations

import json
import math
import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Record = dict[str, Any]
EQUAL = 100
"""Pipeline runs at which the searches' best values are compared."""
COMMAND = "PIXELPERFECT_DATA=... python benchmarks/search_efficiency.py"
_NAMES = {
    "composite": "**composite**",
    "lbfgsb": "**gradient, L-BFGS-B**",
    "adam": "**gradient, Adam**",
    "hybrid": "**hybrid**",
    "tpe": "Optuna TPE",
    "gp": "Optuna GP",
    "cmaes": "Optuna CMA-ES",
    "random": "random",
}
_BARS = {"composite": ((40, 20), (80, 30)), "lbfgsb": ((60, 20), (100, 40)), "hybrid": ((60, 20), (100, 40))}
"""Search to the issue's bars (and further) for 99 % and 100 % of the gain."""


_INTRODUCTION = """# How many evaluations a search needs

`{command}`; {machine}, written by the program. What the searches are is said in
[searches.md](searches.md).

Counted are pipeline runs, each with the judge on top: one for an evaluation, three for a gradient step (the backward
pass counts as two). The target is the median over the seeds of what plain TPE has after 200 trials; its *gain* is that
less the value at the defaults, which every search evaluates first. All numbers are medians over the seeds; – : fewer
than half of the seeds got there within their budget. Gain at 100: share of TPE's gain after 100 runs, with its range.
"""


def best_at(record: Record, runs: int) -> float:
    """The best feasible value within so many pipeline runs."""
    return max((value for spent, value in record["curve"] if spent <= runs), default=-math.inf)


def needed(record: Record, target: float) -> float:
    """Pipeline runs until the target is reached; infinite where it is not."""
    return next((float(spent) for spent, value in record["curve"] if value >= target), math.inf)


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Task to what its runs say, ready for JSON. A task without runs of TPE has no target and is left out."""
    tasks: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        tasks[record["task"]][record["search"]].append(record)
    found = {}
    for task, searches in tasks.items():
        if "tpe" not in searches:
            continue
        start = searches["tpe"][0]["curve"][0][1]
        reached = median(best_at(record, 200) for record in searches["tpe"])
        gain = reached - start
        rows = {}
        for search in sorted(searches, key=list(_NAMES).index):
            made = searches[search]
            at_equal = [best_at(record, EQUAL) for record in made]
            rows[search] = {
                "seeds": len(made),
                "to_99": _finite(median(needed(record, start + 0.99 * gain) for record in made)),
                "to_100": _finite(median(needed(record, reached) for record in made)),
                "reached_99": sum(needed(record, start + 0.99 * gain) < math.inf for record in made),
                "reached_100": sum(needed(record, reached) < math.inf for record in made),
                "gain_at_equal": [(value - start) / gain for value in at_equal],
                "overhead_ms": 1e3 * median((r["wall_s"] - r["evaluation_s"]) / len(r["curve"]) for r in made),
                "peer": made[0]["peer"],
            }
            if made[0]["distance"] is not None:
                rows[search]["value"] = median(best_at(record, EQUAL) for record in made)
                rows[search]["distance"] = median(record["distance"] for record in made)
        keys = ("pipeline", "parameters", "choices", "integers", "pictures")
        found[task] = {
            **{key: searches["tpe"][0][key] for key in keys},
            "start": start,
            "tpe_200": reached,
            "seeds": sorted({record["seed"] for made in searches.values() for record in made}),
            "rows": rows,
        }
    return found


def write_report(records: Sequence[Record], docs: Path) -> None:
    """Write ``search_efficiency.md``, ``.json`` and ``.png`` in ``docs``."""
    tasks = summary(records)
    (docs / "search_efficiency.json").write_text(json.dumps({"tasks": tasks, "runs": list(records)}, indent=1) + "\n")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, one thread"
    lines = [_INTRODUCTION.format(command=COMMAND, machine=machine)]
    for task, entry in tasks.items():
        lines += _task(task, entry)
    lines += ["![Best value so far](search_efficiency.png)", ""]
    (docs / "search_efficiency.md").write_text("\n".join(lines))
    draw(records, tasks, docs / "search_efficiency.png")


def _task(task: str, entry: dict[str, Any]) -> list[str]:
    kinds = ", ".join(f"{entry[kind]} {kind}" for kind in ("choices", "integers") if entry[kind])
    parameters = f"{entry['parameters']} parameters{f' ({kinds} among them)' if kinds else ''}"
    heads = ("search", "seeds", "runs to 99 % of the gain", "to all of it", "seeds that got there", "gain at 100")
    lines = [
        f"## {task}",
        "",
        f"`{entry['pipeline']}`, {parameters}; seeds {', '.join(map(str, entry['seeds']))}.",
        f"Value at the defaults {entry['start']:.4f}, TPE after 200 trials {entry['tpe_200']:.4f}.",
        "",
        f"| {' | '.join(heads)} | ms a trial beside pipeline and judge |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for search, row in entry["rows"].items():
        gains = row["gain_at_equal"]
        lines.append(
            f"| {_NAMES[search]} | {row['seeds']} | {_count(row['to_99'])} | {_count(row['to_100'])} | "
            f"{row['reached_99']}, {row['reached_100']} | {median(gains):.3f} ({min(gains):.3f} to {max(gains):.3f}) | "
            f"{row['overhead_ms']:.0f} |"
        )
    if any("distance" in row for row in entry["rows"].values()):
        lines += [
            "",
            "The optimum is known: its value is 0. Best value at 100 runs, and how far the best parameters of the",
        ]
        lines += ["whole search are from the optimum (root mean square, share of the searched ranges), medians:"]
        found = [f"{_NAMES[name]} {row['value']:.3f}, {row['distance']:.3f}" for name, row in entry["rows"].items()]
        lines += ["; ".join(found) + "."]
    for search, ((first, further), (whole, whole_further)) in _BARS.items():
        if search in entry["rows"]:
            row = entry["rows"][search]
            lines += ["", f"Bars for {_NAMES[search]}:"]
            lines += [f"99 % in at most {first} (further: {further}): {_met(row['to_99'], first)};"]
            lines += [f"all of it in at most {whole} (further: {whole_further}): {_met(row['to_100'], whole)};"]
            if search == "composite" and "gp" in entry["rows"]:
                lines += [f"99 % sooner than Optuna's GP sampler: {_sooner(row, entry['rows']['gp'])};"]
            lines += [f"at 100 against the best peer: {_against_peers(entry['rows'], search)}."]
    return [*lines, ""]


def _sooner(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Whether one search's median number of runs to 99 % is the smaller one; a search that never got there has none."""
    mine, others = (row["to_99"] for row in (one, other))
    met = mine is not None and (others is None or mine < others)
    texts = ["never" if number is None else f"{number:g}" for number in (mine, others)]
    return f"{'met' if met else 'missed'} ({texts[0]} against {texts[1]})"


def _against_peers(rows: dict[str, Any], search: str) -> str:
    """Difference of the median gains, beside the spread that seeds alone make."""
    peers = {name: row["gain_at_equal"] for name, row in rows.items() if row["peer"]}
    best = max(peers, key=lambda name: median(peers[name]))
    difference = median(rows[search]["gain_at_equal"]) - median(peers[best])
    noise = max(float(np.std(peers[best])), float(np.std(rows[search]["gain_at_equal"])))
    return f"{difference:+.3f} of the gain against {_NAMES[best]} (standard deviation over seeds {noise:.3f})"


def _met(number: float | None, bar: int) -> str:
    return "met" if number is not None and number <= bar else "missed"


def _count(number: float | None) -> str:
    return "–" if number is None else f"{number:g}"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


_COLOURS = {
    "composite": (200, 30, 60),
    "lbfgsb": (200, 30, 60),
    "adam": (240, 140, 40),
    "hybrid": (130, 60, 170),
    "tpe": (40, 90, 200),
    "gp": (30, 140, 110),
    "cmaes": (120, 120, 40),
    "random": (150, 150, 150),
}
_PANEL, _MARGIN, _LAST = (420, 280), 46, 200
_INK, _PAPER, _GRID = (30, 33, 40), (255, 255, 255), (225, 228, 232)


def draw(records: Sequence[Record], tasks: dict[str, Any], path: Path) -> None:
    """One panel a task: share of TPE's gain against pipeline runs (logarithmic shortfall), medians over seeds."""
    columns = 2
    rows = max(1, math.ceil(len(tasks) / columns))
    sheet = Image.new("RGB", (columns * _PANEL[0], rows * _PANEL[1]), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for place, (task, entry) in enumerate(tasks.items()):
        left, top = (place % columns) * _PANEL[0] + _MARGIN, (place // columns) * _PANEL[1] + 30
        width, height = _PANEL[0] - _MARGIN - 90, _PANEL[1] - 70
        pen.text((left, top - 22), f"{task}: share of TPE's gain after 200 trials", fill=_INK, font=font)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            y = top + height * (1.1 - share) / 1.1
            pen.line([(left, y), (left + width, y)], fill=_GRID)
            pen.text((left - 34, y - 7), f"{share:g}", fill=_INK, font=font)
        for runs in (0, 50, 100, 150, 200):
            pen.text((left + width * runs / _LAST - 8, top + height + 4), str(runs), fill=_INK, font=font)
        gain = entry["tpe_200"] - entry["start"]
        for row, search in enumerate(entry["rows"]):
            made = [r for r in records if r["task"] == task and r["search"] == search]
            last = min(_LAST, min(r["curve"][-1][0] for r in made))
            first = max(r["curve"][0][0] for r in made)
            points = []
            for runs in range(first, last + 1):
                share = (median(best_at(record, runs) for record in made) - entry["start"]) / gain
                y = top + height * (1.1 - float(np.clip(share, 0.0, 1.1))) / 1.1
                points.append((left + width * runs / _LAST, y))
            if len(points) > 1:
                pen.line(points, fill=_COLOURS[search], width=2)
            pen.text((left + width + 6, top + 14 * row), search, fill=_COLOURS[search], font=font)
    sheet.save(path, optimize=True)
