"""What the commands after a run read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from pixelperfect_models.errors import UserError

RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")]


def read_best(run_dir: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The pipeline's name, its options (paths absolute), and the best parameters, fixed and searched, of a run.

    Raises:
        UserError: it is no run's folder, or no trial of it is done yet.
    """
    from tuner.recipe_pipeline import absolute_options

    recipe = _read(run_dir, "recipe.yaml")
    pipeline = recipe.get("pipeline")
    if not isinstance(pipeline, Mapping) or not isinstance(pipeline.get("name"), str):
        raise UserError(f"{run_dir / 'recipe.yaml'}: pipeline.name: found nothing, expected the name of a pipeline")
    options = absolute_options(pipeline["name"], pipeline.get("options") or {}, run_dir)
    return pipeline["name"], options, _read(run_dir, "best_parameters.yaml")


def _read(run_dir: Path, name: str) -> dict[str, Any]:
    path = run_dir / name
    if not run_dir.is_dir():
        raise UserError(f"{run_dir}: no such run folder")
    if not path.is_file():
        raise UserError(f"{run_dir}: holds no {name}, expected the folder of a run with at least one finished trial")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: found no mapping, expected key: value lines")
    return data
