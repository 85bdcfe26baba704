"""A recipe of one external program with one parameter that changes nothing, on one picture of noise."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml

from pixelperfect_models.images import write_image


def command_recipe(folder: Path, program: str, *arguments: str, trials: int = 2, timeout: float = 60.0) -> Path:
    """Write it to ``folder/recipe.yaml``: ``folder/program`` by Python, with ``arguments``, {a}, {input}, {output}."""
    write_image(folder / "in.png", torch.rand(1, 3, 64, 64))
    command = [sys.executable, str(folder / program), *arguments, "{a}", "{input}", "{output}"]
    options = {"command": command, "timeout": timeout, "parameters": {"a": {"low": 0, "high": 1, "default": 0.5}}}
    recipe = {
        "pipeline": {"name": "command", "options": options, "search": {"a": {}}},
        "images": {"input": "in.png", "reference": "input"},
        "search": {"strategy": "optuna", "trials": trials},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path
