"""Writing the report: read the run, make its pictures, fill the page. One HTML file, nothing loaded from outside."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import yaml
from markupsafe import Markup

from pixelperfect_models import PixelPerfect
from pixelperfect_models.channels import CHANNEL_DOCS
from pixelperfect_models.errors import UserError
from tuner.map_summary import summarize
from tuner.objective import Judge
from tuner.overlays import legend_css
from tuner.regions import NOTICEABLE
from tuner.report.encode import picture_data
from tuner.report.format import duration, plain, signed, words
from tuner.report.knob_table import KnobTable, knob_table
from tuner.report.pictures import PictureSet, make_pictures, open_sources, per_picture, worst_of_all
from tuner.report.records import RunRecords, read_run
from tuner.report.search_section import search_section
from tuner.report.tables import constraint_rows, map_rows, objective_rows, parameter_rows

MOST_PICTURES = 6
"""Pictures shown unless asked otherwise: each of 512 x 512 adds about 2 MB to the page."""

ROLES = (("input", "Input"), ("start", "Default output"), ("best", "Best output"), ("reference", "Reference"))


def write_report(run_dir: str | Path, judge: Judge | None = None, most_pictures: int = MOST_PICTURES) -> Path:
    """Write ``report.html`` into a run's folder.

    Outputs and maps at the start and the best parameters are computed again from the run's recipe.

    Args:
        run_dir: the run's folder.
        judge: the judge to draw maps with; default: the one that the run's recipe names.
        most_pictures: how many pictures to show at most, the first ones of the recipe.

    Returns:
        The path of the page.

    Raises:
        UserError: not a run's folder, no finished trial in it, or the page cannot be written.
    """
    records = read_run(run_dir)
    if judge is None:
        judge = PixelPerfect.from_pretrained(records.recipe.get("judge", {}).get("weights"))
    sources = open_sources(records)
    pictures = make_pictures(records, sources, judge, most_pictures)
    page = render(records, pictures, knob_table(records, sources, judge))
    path = records.folder / "report.html"
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def render(records: RunRecords, pictures: PictureSet, knobs: KnobTable) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_page_file),
    )
    sections = {**_summary(records), **_shown(pictures), **search_section(records), **_files(records)}
    return environment.get_template("page.html").render({**sections, "knobs": knobs})


def _page_file(name: str) -> str:
    return resources.files("tuner.report").joinpath(name).read_text(encoding="utf-8")


def _summary(records: RunRecords) -> dict[str, Any]:
    result, recipe = records.result, records.recipe
    start, best = records.start, records.best
    name = recipe["pipeline"]["name"]
    sampler = f" ({result['sampler']})" if result.get("sampler") else ""
    failed = result.get("failed", 0)
    count = len(best.get("pictures", ()))
    return {
        "title": recipe.get("name") or name,
        "pipeline": name,
        "description": recipe.get("description", ""),
        "facts": f"{count} picture{'' if count == 1 else 's'} · {result['strategy']}{sampler} · "
        f"report of {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "value": _from_to(start["value"], best["value"]),
        "score": _from_to(start["score"], best["score"]),
        "trial_count": plain(result["trials"]),
        "trial_facts": f"best: trial {best['number']}" + (f", {failed} failed" if failed else ", none failed"),
        "time": duration(result["seconds"]),
        "rate": _rate(result["trials_per_second"]),
        "warnings": _warnings(records),
        "parameters": parameter_rows(records),
        "objective": objective_rows(records),
        "constraints": constraint_rows(records),
        "per_picture": [
            {"name": row["name"], "cells": [_pair(*row["value"]), _pair(*row["score"])]} for row in per_picture(records)
        ],
        "best_yaml": "data:text/yaml;charset=utf-8," + quote(yaml.safe_dump(best["parameters"], sort_keys=False)),
        "maps": map_rows(records),
        "maps_note": _incumbent_note(recipe),
        "reference_word": "its input" if recipe["images"]["reference"] == "input" else "its reference",
    }


def _incumbent_note(recipe: dict[str, Any]) -> str:
    if recipe["images"]["reference"] != "incumbent":
        return ""
    return " This run has no references: each candidate was judged against the best one before it."


def _warnings(records: RunRecords) -> list[str]:
    found = []
    if records.start.get("role") != "defaults":
        found.append(
            f"The pipeline's defaults could not be evaluated; trial {records.start['number']} stands for them here."
        )
    elif records.best["number"] == records.start["number"]:
        found.append("No trial was better than the pipeline's defaults.")
    if not records.best.get("feasible", True):
        found.append("No trial met all constraints; the best is the best of those that break one.")
    if records.result.get("interrupted"):
        found.append("The run was interrupted before its search was done; tuner run --resume goes on with it.")
    return found


def _from_to(start: float, best: float) -> tuple[str, str, str, bool]:
    return signed(start), signed(best), f"{signed(best - start)} against the default", best > start


def _rate(trials_per_second: float) -> str:
    if 0 < trials_per_second < 1:
        return f"{duration(1 / trials_per_second)} a trial"
    return f"{trials_per_second:.2g} trials a second"


def _pair(start: float | None, best: float) -> tuple[str, str, bool, bool]:
    better, worse = start is not None and best > start, start is not None and best < start
    return signed(start), signed(best), better, worse


def _shown(pictures: PictureSet) -> dict[str, Any]:
    data, lossless = picture_data(pictures)
    types = [words(name) for name in pictures.types]
    payload = {"pictures": data, "labels": dict(ROLES), "types": types}
    return {
        "pictures": pictures,
        "pictures_note": _storage_note(pictures, lossless),
        "roles": ROLES,
        "map_types": _map_types(pictures),
        "legend": Markup(legend_css()),
        "regions": _regions(pictures),
        "noticeable": NOTICEABLE,
        # "<" is escaped so that no text inside the data can end its script element.
        "data": Markup(json.dumps(payload, separators=(",", ":")).replace("<", "\\u003c")),
    }


def _storage_note(pictures: PictureSet, lossless: bool) -> str:
    kept = (
        "Pictures are stored here without loss" if lossless else "Pictures are stored here as JPEG, quality 95, 4:4:4"
    )
    notes = [f"{kept}, maps at half their resolution."]
    if len(pictures.shown) < pictures.total:
        notes.append(f"Shown: the first {len(pictures.shown)} of {pictures.total} pictures.")
    return " ".join([*notes, pictures.note]).strip()


def _map_types(pictures: PictureSet) -> list[dict[str, str]]:
    """The choice of maps: each with the mean signed excess of the best outputs shown, where it is not nearly 0."""
    rows = []
    for place, name in enumerate(pictures.types):
        means = [summarize(picture.excess["best"][place]).mean for picture in pictures.shown if not picture.own]
        mean = sum(means) / len(means) if means else 0.0
        amount = signed(mean, 2) if abs(mean) >= 0.005 else ""
        rows.append(
            {
                "label": words(name),
                "doc": CHANNEL_DOCS.get(name, ""),
                "amount": amount,
                "side": "warm" if mean > 0 else "cool",
            }
        )
    return rows


def _regions(pictures: PictureSet) -> list[dict[str, Any]]:
    names = [picture.name for picture in pictures.shown]
    return [
        {
            "index": names.index(worst.picture),
            "place": pictures.types.index(worst.type),
            "picture": worst.picture,
            "type": words(worst.type),
            "excess": signed(worst.region.excess, 2),
            "start": signed(worst.start, 2),
            "box": (worst.region.left, worst.region.top, worst.region.width, worst.region.height),
        }
        for worst in worst_of_all(pictures)
    ]


def _files(records: RunRecords) -> dict[str, Any]:
    return {
        "recipe": records.recipe_text,
        "environment": [(key, _flat(value), isinstance(value, dict)) for key, value in records.environment.items()],
        "folder": str(records.folder),
        "css": Markup(_page_file("page.css") + _page_file("charts.css")),
        "viewer_js": Markup(_page_file("viewer.js")),
        "page_js": Markup(_page_file("page.js")),
        "charts_js": Markup(_page_file("charts.js")),
    }


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_flat(inner) for inner in value)
    return str(value)
