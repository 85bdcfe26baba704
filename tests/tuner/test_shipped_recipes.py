"""Every recipe of recipes/: it loads, is checked and evaluated; of each kind one is searched, by the command line.

On small crops of the recipe's own pictures. A recipe is skipped, by name, where its programs or its data are missing.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipelines
from pixelperfect_models import PixelPerfect
from tests.needs import need_program
from tests.tuner.command import ROOT, tuner
from tuner import load_recipe
from tuner.cli import main
from tuner.pictures import read_pictures
from tuner.recipe import Recipe
from tuner.runner import prepare

RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.yaml"))}
EXTERNAL = [name for name in RECIPES if name.startswith("external_")]
SMALL = ("images.crop=64", "images.limit=1")

RUNS = {
    "isp": ("search.steps=4",),
    "burst": ("search.starts=1", "search.steps=3"),
    "jpeg_tables": ("search.steps=4",),
    "codec_pareto": ("search.trials=12",),
    "external_cwebp": ("search.trials=10",),
}
"""The recipes that are searched, and what makes the search short."""


def keys(recipe: Path) -> dict[str, Any]:
    """What the file says, without its comments."""
    found: dict[str, Any] = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    return found


def programs(recipe: Path) -> list[str]:
    """What the recipe's pipeline runs; nothing where it is no external one."""
    command = keys(recipe)["pipeline"].get("options", {}).get("command", [])
    lists = command if command and isinstance(command[0], list) else [command] if command else []
    return [arguments[0] for arguments in lists]


def need(name: str) -> Path:
    """The recipe's file. Skips where its data or programs are missing; a program that CI lacks is a failure."""
    recipe = RECIPES[name]
    for folder in sorted(set(re.findall(r"\$\{PIXELPERFECT_DATA\}/(\w+)", json.dumps(keys(recipe))))):
        if not (Path(os.environ.get("PIXELPERFECT_DATA", "/nonexistent")) / folder).is_dir():
            pytest.skip(f"{name}: there is no folder {folder} in PIXELPERFECT_DATA")
    for program in programs(recipe):
        need_program(program)
    return recipe


def options(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def test_the_recipes_are_found() -> None:
    assert {*RUNS, "denoise", "train_denoiser", "match_look"} <= RECIPES.keys()
    assert EXTERNAL and all(programs(RECIPES[name]) for name in EXTERNAL)
    assert programs(RECIPES["isp"]) == []


@pytest.mark.parametrize("name", RECIPES)
def test_loads_with_all_its_pictures(name: str) -> None:
    recipe = load_recipe(need(name))
    assert recipe.name == name
    assert recipe.description
    assert recipe.pairs


@pytest.mark.parametrize("name", RECIPES)
def test_is_checked_and_evaluated_at_its_start(
    name: str, judge: PixelPerfect, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = need(name)
    # The command as it is, with the judge that the tests have loaded already.
    monkeypatch.setattr(PixelPerfect, "from_pretrained", lambda weights=None: judge)
    code = main(["check", str(recipe), *options(*SMALL)])
    said = capsys.readouterr()
    assert code == 0, said.err
    found = re.search(r"^value at the defaults\t(\S+)$", said.out, re.MULTILINE)
    assert found and math.isfinite(float(found[1])), said.out
    assert re.search(r"^pictures\t1, judged against ", said.out, re.MULTILINE), said.out


def ends(recipe: Recipe) -> list[dict[str, Any]]:
    """Each searched parameter alone at its lowest and highest, or at every choice."""
    pipeline = pipelines.load(recipe.pipeline.name, recipe.pipeline.options)
    settings = []
    for name, span in recipe.pipeline.search.items():
        choices = getattr(pipeline.parameters[name], "choices", None)
        settings += [{name: value} for value in choices or (span.low, span.high)]
    return settings


@pytest.mark.parametrize("name", EXTERNAL)
def test_the_program_takes_both_ends_of_every_range_and_every_choice(name: str) -> None:
    """The start alone would not show an option that the program has no such value of."""
    recipe = load_recipe(need(name), SMALL)
    pipeline = pipelines.load(recipe.pipeline.name, recipe.pipeline.options)
    (picture,) = read_pictures(recipe, pipeline.input)
    for setting in ends(recipe):
        output = pipeline.run(picture.image, {**recipe.pipeline.fixed, **setting})
        assert output.image.shape == (1, 3, 64, 64), setting


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_short_run_by_the_command_line(name: str, tmp_path: Path, judge: PixelPerfect) -> None:
    done = tuner("run", need(name), "--out", "run", "--quiet", *options(*SMALL, *RUNS[name]), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    folder = tmp_path / "run"
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["trials"] > 1 and result["failed"] == 0
    # A start that breaks a constraint may have the larger value.
    best, start = ((each["feasible"], each["value"]) for each in (result["best"], result["start"]))
    assert best >= start
    assert (folder / "report.html").stat().st_size > 0

    # The best parameters, read back, are worth in the pipeline what the run says.
    recipe = load_recipe(folder / "recipe.yaml")
    objective, _ = prepare(recipe, judge)
    parameters = yaml.safe_load((folder / "best_parameters.yaml").read_text(encoding="utf-8"))
    assert set(recipe.pipeline.search) <= parameters.keys()
    again = objective.evaluate(parameters)
    if name == "jpeg_tables":  # its gradient is that of a soft JPEG, its file a real encoder's
        assert again.measures["bytes"] == result["best"]["measures"]["bytes"]
    else:
        assert again.value == pytest.approx(result["best"]["value"], abs=1e-3)
    if recipe.objective.pareto:
        front = json.loads((folder / "pareto.json").read_text(encoding="utf-8"))["front"]
        assert front and front[0]["value"] == pytest.approx(result["best"]["value"])
