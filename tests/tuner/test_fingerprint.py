"""What a study remembers of what made it: whatever would give other values is noticed, and nothing else."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch

import pipelines
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.recipe_data import picture
from tuner import load_recipe
from tuner.fingerprint import fingerprint, made_differences

NETWORK = """
from torch import nn

class Mine(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 3, {size}, padding="same")
"""


def made_with(folder: Path) -> dict[str, str]:
    sys.modules.pop("my_network", None)
    importlib.invalidate_caches()
    recipe = load_recipe(
        {
            "pipeline": {"name": "network", "options": {"network": "my_network:Mine"}, "search": {"step": {}}},
            "images": {"input": "noisy/*.png", "reference": "clean/*.png"},
            "search": {"strategy": "train", "photos": "train/*.png", "steps": 2, "crop": 32},
        },
        folder=folder,
    )
    return fingerprint(recipe, pipelines.load("network", recipe.pipeline.options), FakeJudge())


def test_the_programs_own_code_and_its_libraries_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("noisy/p", "clean/p"):
        picture(tmp_path / f"{name}.png", 48, 40)
    recipe = load_recipe(
        {
            "pipeline": {"name": "denoise.bilateral", "search": {"sigma_color": {}}},
            "images": {"input": "noisy/*.png", "reference": "clean/*.png"},
        },
        folder=tmp_path,
    )

    def made_with() -> dict[str, str]:
        return fingerprint(recipe, pipelines.load("denoise.bilateral"), FakeJudge())

    fresh = importlib.import_module("tuner.fingerprint")._code
    fresh.cache_clear()
    first = made_with()
    assert first["library torch"].split("+")[0] == torch.__version__.split("+")[0]
    # Another checkout: the same packages with one line of a pipeline changed.
    other = tmp_path / "checkout"
    for package in ("pipelines", "pixelperfect_models", "tuner"):
        source = Path(importlib.import_module(package).__file__ or "").parent
        shutil.copytree(source, other / package, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    monkeypatch.setattr("importlib.resources.files", lambda package: other / package)
    fresh.cache_clear()
    assert made_differences(first, made_with()) == []  # wherever it lies
    (other / "tuner/live.py").write_text("# what is shown changes no value\n")
    fresh.cache_clear()
    assert made_differences(first, made_with()) == []
    with (other / "pipelines/filters.py").open("a") as file:
        file.write("# changed\n")
    fresh.cache_clear()
    (code,) = made_differences(first, made_with())
    assert code.startswith("code: stored")
    fresh.cache_clear()


def test_a_users_network_and_the_photos_it_is_trained_on_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a file changed within a second would be read from it
    for name in ("train/t", "noisy/p", "clean/p"):
        picture(tmp_path / f"{name}.png", 48, 40)
    (tmp_path / "my_network.py").write_text(NETWORK.format(size=3))
    first = made_with(tmp_path)
    assert made_differences(first, made_with(tmp_path)) == []
    (tmp_path / "my_network.py").write_text(NETWORK.format(size=5))
    (network,) = made_differences(first, made_with(tmp_path))
    assert network.startswith("class Mine: stored")
    (tmp_path / "my_network.py").write_text(NETWORK.format(size=3))
    picture(tmp_path / "train/t.png", 48, 41)
    (photos,) = made_differences(first, made_with(tmp_path))
    assert photos.startswith("training photos: stored")


def test_the_programs_of_a_command_are_remembered(tmp_path: Path) -> None:
    for name in ("noisy/p", "clean/p"):
        picture(tmp_path / f"{name}.png", 48, 40)
    program, script = tmp_path / "copy", tmp_path / "settings.txt"
    program.write_text('#!/bin/sh\ncp "$2" "$3"\n')
    program.chmod(0o755)
    script.write_text("one")
    options = {
        "command": [str(program), str(script), "{input}", "{output}", "{level}"],
        "parameters": {"level": {"low": 0, "high": 1, "default": 0.5}},
    }
    recipe = load_recipe(
        {
            "pipeline": {"name": "command", "options": options, "search": {"level": {}}},
            "images": {"input": "noisy/*.png", "reference": "clean/*.png"},
        },
        folder=tmp_path,
    )

    def made_with() -> dict[str, str]:
        return fingerprint(recipe, pipelines.load("command", recipe.pipeline.options), FakeJudge())

    first = made_with()
    assert made_differences(first, made_with()) == []
    program.write_text('#!/bin/sh\n# another version\ncp "$2" "$3"\n')
    script.write_text("two")
    differences = made_differences(first, made_with())
    assert [text.split(":")[0] for text in differences] == [f"file {program}", f"file {script}"]
