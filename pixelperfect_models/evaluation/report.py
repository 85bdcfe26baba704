"""Writing an evaluation on rated pictures down: results.json, results.md and plots as PNG."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.classical import METRICS, TITLES
from pixelperfect_models.evaluation.plots import METHOD_COLORS, scatter, type_dots
from pixelperfect_models.images import write_image


def by_srcc(result: Mapping[str, Any]) -> list[str]:
    """The methods, best SRCC first."""
    overall = result["overall"]
    return sorted(overall, key=lambda name: -np.nan_to_num(overall[name]["srcc"], nan=-2.0))


def title(method: str) -> str:
    """How tables and plots call a method."""
    return TITLES.get(method, method)


def compared(result: Mapping[str, Any]) -> list[str]:
    """The judge's rows, the consensus and the best single metrics: as many as one plot can show."""
    ranked = by_srcc(result)
    chosen = [name for name in result["overall"] if name not in METRICS]
    chosen += [name for name in ranked if name in METRICS]
    return chosen[: len(METHOD_COLORS)]


def write_report(result: Mapping[str, Any], folder: str | Path, command: str = "") -> list[Path]:
    """Write ``results.json``, and for ratings ``results.md``, ``types.png`` and a ``scatter_METHOD.png`` each.

    Args:
        result: what :func:`pixelperfect_models.evaluation.evaluate` returns.
        folder: made where it is not there; files of the same names are replaced.
        command: how the figures were made, quoted in ``results.md``.

    Returns the files. Raises UserError where the folder cannot be written.
    """
    folder = Path(folder)
    files = [folder / "results.json"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files[0].write_text(json.dumps(plain(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    if result.get("kind", "ratings") != "ratings":
        return files
    pictures = {}
    for method, row in result["overall"].items():
        if row["pictures"]:
            pictures[method] = f"scatter_{re.sub('[^a-z0-9]+', '_', method.lower())}.png"
            files.append(write_image(folder / pictures[method], scatter(result, method, title(method))))
    files.append(write_image(folder / "types.png", type_dots(result, compared(result), TITLES)))
    files.append(folder / "results.md")
    files[-1].write_text(markdown(result, pictures, command), encoding="utf-8")
    return files


def markdown(result: Mapping[str, Any], pictures: Mapping[str, str], command: str = "") -> str:
    """The tables of an evaluation on rated pictures, and links to its plots (method -> file name)."""
    methods = by_srcc(result)
    text = [
        f"# Agreement with people: {result['title']}",
        "",
        f"{result['pictures']} distorted pictures of {result['references']} references, {len(result['types'])} types. "
        f"Ratings: {result['orientation']}.",
        "",
        *([f"    {command}", ""] if command else []),
        "In brackets 95 % bootstrap intervals. PLCC and RMSE after the fitted function. Mean over types, over "
        "contents: of the SRCC within each.",
        "",
    ]
    lead = result["lead"]
    columns = (
        "method",
        "SRCC",
        "KRCC",
        "PLCC",
        "RMSE",
        "mean over types",
        "mean over contents",
        "judge ahead by (SRCC)",
    )
    rows = []
    for name in methods:
        row, gaps = result["overall"][name], result["overall"][name]["intervals"]
        ahead = _figure(lead[name]["srcc"], lead[name]["interval"], "+.3f") if name in lead else ""
        keys = ("srcc", "krcc", "plcc", "rmse", "mean_type_srcc", "mean_content_srcc")
        rows.append((title(name), *(_figure(row[key], gaps[key]) for key in keys), ahead))
    text += [*_table(columns, rows), ""]
    notes = [
        f"- {title(name)}: {result['overall'][name]['note']}." for name in methods if result["overall"][name]["note"]
    ]
    fits = {result["overall"][name]["fit"]["function"] for name in methods}
    notes.append(f"- Function in front of PLCC and RMSE: {', '.join(sorted(fits))}.")
    text += [*notes, "", "## Within each distortion type (SRCC)", "", "![SRCC within each type](types.png)", ""]
    text += [*_groups(result["types"], "type", methods), "", "## Within each content (SRCC)", ""]
    text += [*_groups(result["contents"], "content", methods), "", "## Answers against ratings", ""]
    for name in [name for name in compared(result) if name in pictures]:
        text += [f"![{title(name)} against ratings]({pictures[name]})", ""]
    others = [f"[{title(name)}]({file})" for name, file in pictures.items() if name not in compared(result)]
    text += [f"Others: {', '.join(others)}.", ""] if others else []
    return "\n".join(text)


def plain(data: Any) -> Any:
    """Data for JSON, which has no NaN and no infinity: they become null."""
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _groups(table: Mapping[str, Any], what: str, methods: Sequence[str]) -> list[str]:
    rows = [(name, *(_figure(row[method]["srcc"]) for method in methods)) for name, row in table.items()]
    return _table((what, *(title(method) for method in methods)), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * len(columns), *rows)]


def _figure(value: float, interval: Sequence[float] | None = None, form: str = ".3f") -> str:
    if not math.isfinite(value):
        return "–"
    if interval is None or not math.isfinite(interval[0]):
        return f"{value:{form}}"
    return f"{value:{form}} ({interval[0]:{form}}, {interval[1]:{form}})"
