"""The chain as a user meets it: a recipe, the command line, the shipped judge, a run folder with a report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml

from pixelperfect_models import PixelPerfect
from pixelperfect_models.images import write_image
from tuner import load_recipe, run

ROOT = Path(__file__).parent.parent


def tuner(*arguments: str, cwd: Path = ROOT, timeout: int = 540) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "tuner", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of the main recipe."""
    out = tmp_path_factory.mktemp("runs") / "denoise"
    short = ("search.starts=1", "search.steps=4", "images.crop=96", "images.limit=1")
    options = [word for setting in short for word in ("--set", setting)]
    done = tuner("run", "recipes/denoise.yaml", "--out", str(out), *options)
    assert done.returncode == 0, done.stderr
    assert str(out / "report.html") in done.stdout + done.stderr
    return out


@pytest.mark.slow
def test_the_main_recipe_improves_on_the_defaults(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    assert result["trials"] == 4 and result["failed"] == 0
    assert result["best"]["value"] > result["start"]["value"]
    for name in ("recipe.yaml", "environment.json", "study.log", "best_parameters.yaml", "report.html"):
        assert (finished / name).stat().st_size > 0, name
    assert list((finished / "outputs").glob("*.png")) and list((finished / "maps").glob("*.png"))


@pytest.mark.slow
def test_resume_apply_and_export(finished: Path, tmp_path: Path) -> None:
    exported = tuner("export", str(finished), "--format", "json")
    assert exported.returncode == 0, exported.stderr
    best = yaml.safe_load((finished / "best_parameters.yaml").read_text())
    assert json.loads(exported.stdout) == best
    picture = ROOT / "recipes" / "photos" / "noisy" / "nyc.png"
    applied = tuner("apply", str(finished), str(picture), "--out", str(tmp_path / "applied"))
    assert applied.returncode == 0, applied.stderr
    assert len(list((tmp_path / "applied").iterdir())) == 1


def gamma_recipe(folder: Path, photo: torch.Tensor, search: dict[str, object]) -> dict[str, object]:
    """Undo a known gamma: the input is the reference to the power of 1 / 1.6, so the optimum is 1.6."""
    write_image(folder / "in" / "a.png", photo.clamp(0.02, 0.98) ** (1 / 1.6))
    write_image(folder / "ref" / "a.png", photo.clamp(0.02, 0.98))
    return {
        "name": "gamma",
        "pipeline": {"name": "tone.gamma", "search": {"gamma": {"low": 0.5, "high": 3.0, "log": True}}},
        "images": {"input": str(folder / "in" / "a.png"), "reference": str(folder / "ref" / "a.png")},
        # By the signed maps alone, which are neutral where output and reference agree. The score is relational: it may
        # find a brighter picture better than its reference, so it has no optimum at the reference.
        "objective": {
            "score": {"weight": 0.0},
            "penalties": [{"type": "exposure", "weight": 2.0}, {"type": "contrast", "weight": 2.0}],
        },
        "search": search,
    }


@pytest.mark.slow
def test_gradient_and_optuna_reach_the_known_optimum_with_the_shipped_judge(
    tmp_path: Path, photo: torch.Tensor, judge: PixelPerfect
) -> None:
    found = {}
    for name, search in {
        "gradient": {"strategy": "gradient", "starts": 2, "steps": 40, "learning_rate": 0.05, "seed": 0},
        "optuna": {"strategy": "optuna", "sampler": "tpe", "trials": 70, "seed": 0},
    }.items():
        recipe = load_recipe(gamma_recipe(tmp_path, photo, search), folder=tmp_path)
        result = run(recipe, tmp_path / name, quiet=True, judge=judge)
        found[name] = result.best_parameters["gamma"]
    span = 3.0 - 0.5
    assert abs(found["gradient"] - found["optuna"]) <= 0.02 * span, found
    assert all(abs(value - 1.6) <= 0.02 * span for value in found.values()), found


def test_a_wheel_holds_everything_a_run_needs(tmp_path: Path) -> None:
    """What is installed outside the checkout must carry weights, configurations, curves and the report's files."""
    source = tmp_path / "source"
    for package in ("pixelperfect_models", "pipelines", "tuner"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "pixelperfect_models/weights/compact/distortion.safetensors",
        "pixelperfect_models/weights/compact/score.safetensors",
        "pixelperfect_models/weights/compact/score.json",
        "pixelperfect_models/configs/compact.yaml",
        "pixelperfect_models/distortions/curves.json",
        "tuner/report/page.html",
        "tuner/report/page.css",
        "tuner/report/page.js",
        "tuner/report/viewer.js",
        "pipelines/denoise/bilateral.py",
    ):
        assert needed in names, needed
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)
