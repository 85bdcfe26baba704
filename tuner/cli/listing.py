"""``tuner list``: the names that a recipe may use."""

from __future__ import annotations

import dataclasses
import inspect
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tuner.cli.output import emit_json, table
from tuner.cli.session import Json


class Kind(StrEnum):
    """What can be listed."""

    pipelines = "pipelines"
    types = "types"
    searches = "searches"
    recipes = "recipes"


def list_names(
    kind: Annotated[Kind | None, typer.Argument(help="Which names; all of them when left out.")] = None,
    json: Json = False,
) -> None:
    """List pipelines with their parameters, distortion types, searches, or ready recipes."""
    kinds = [kind] if kind else list(Kind)
    listed = {each.value: _LISTS[each]() for each in kinds}
    if json:
        emit_json(listed[kind.value] if kind else listed)
        return
    for number, each in enumerate(kinds):
        if not kind:
            print(("\n" if number else "") + each.value)
        rows = listed[each.value]
        if not rows:
            print("none")
            continue
        columns = [column for column in rows[0] if not isinstance(rows[0][column], dict)]
        shown = _with_parameters(rows) if each is Kind.pipelines else [[row[c] for c in columns] for row in rows]
        table(_PIPELINE_COLUMNS if each is Kind.pipelines else columns, shown)


_PIPELINE_COLUMNS = ("name", "range", "default", "what it does")


def _with_parameters(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """A line for each pipeline and below it, indented, one for each of its parameters."""
    lines: list[list[Any]] = []
    for row in rows:
        gradient = " (differentiable)" if row["differentiable"] else ""
        lines.append([row["name"], "", "", row["doc"] + gradient])
        lines += [[f"  options.{name}", "", "", doc] for name, doc in row["options"].items()]
        for name, parameter in row["parameters"].items():
            scale = ", log" if parameter.get("log") else ""
            lines.append([f"  {name}", parameter["range"] + scale, str(parameter["default"]), parameter["doc"]])
    return lines


def _pipelines() -> list[dict[str, Any]]:
    import pipelines

    rows = []
    for name, cls in pipelines.available().items():
        try:
            pipeline = pipelines.load(name)
        except pipelines.OptionsError:  # what it is made of, its parameters among it, comes from a recipe's options
            rows.append(
                {
                    "name": name,
                    "doc": _first_line(cls),
                    "differentiable": cls.differentiable,
                    "options": dict(cls.options),
                    "parameters": {},
                }
            )
            continue
        parameters = {
            key: {
                "range": parameter.bounds,
                **dataclasses.asdict(parameter),
            }
            for key, parameter in pipeline.parameters.items()
        }
        rows.append(
            {
                "name": name,
                "doc": _first_line(cls),
                "differentiable": pipeline.differentiable,
                "options": dict(cls.options),
                "parameters": parameters,
            }
        )
    return rows


def _types() -> list[dict[str, Any]]:
    from pixelperfect_models.channels import CHANNEL_DOCS

    return [{"name": name, "doc": doc} for name, doc in CHANNEL_DOCS.items()]


def _searches() -> list[dict[str, Any]]:
    from tuner import recipe_search

    rows: list[dict[str, Any]] = [
        {"strategy": name, "sampler": None, "doc": _first_line(getattr(recipe_search, f"{name.capitalize()}Search"))}
        for name in ("auto", "gradient", "hybrid", "composite", "sweep", "train")
    ]
    rows += [
        {"strategy": "optuna", "sampler": name, "doc": doc} for name, doc in recipe_search.OptunaSearch.SAMPLERS.items()
    ]
    rows.append(
        {"strategy": "optuna", "sampler": "any other", "doc": "a class of optuna.samplers, or package.module:Class"}
    )
    return rows


def _recipes() -> list[dict[str, Any]]:
    """The recipes beside this installation (a checkout) and in the current folder's ``recipes``."""
    import yaml

    here = Path(__file__).resolve().parents[2] / "recipes"
    rows = []
    for folder in dict.fromkeys((Path.cwd() / "recipes", here)):
        for file in sorted(folder.glob("*.yaml")):
            try:
                data = yaml.safe_load(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                data = None
            doc = data.get("description", "") if isinstance(data, dict) else "not a readable recipe"
            rows.append({"path": _relative(file), "doc": " ".join(str(doc).split())})
    return rows


def _relative(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n", 1)[0].replace("``", "")


_LISTS = {Kind.pipelines: _pipelines, Kind.types: _types, Kind.searches: _searches, Kind.recipes: _recipes}
