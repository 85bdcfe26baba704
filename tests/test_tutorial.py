"""docs/tutorial.md: its recipes are sound and run as they stand there, shortened and on the repository's pictures."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tuner import load_recipe

ROOT = Path(__file__).parent.parent
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("tutorial", "choosing_penalties")
}
SHORT = {"first": "search.trials=5", "second": "search.trials=3", "no_truth": "search.trials=3"}
SMALL = ("images.crop=64", "images.limit=1")


def blocks(language: str) -> dict[str, str]:
    """The files that the pages have one write, by name."""
    found = [text for page in PAGES.values() for text in re.findall(rf"^```{language}\n(.*?)^```$", page, re.S | re.M)]
    return {match[1]: text for text in found if (match := re.match(r"# (\S+\.(?:yaml|py))\b", text))}


def commands() -> list[str]:
    return [text for page in PAGES.values() for text in re.findall(r"^```sh\n(.*?)^```$", page, re.S | re.M)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the tutorial's first steps leave behind, with the repository's own pictures."""
    for part in ("tune", "unseen"):
        for kind in ("noisy", "clean"):
            shutil.copytree(ROOT / "recipes" / "photos" / kind, tmp_path / part / kind)
    for name, text in {**blocks("yaml"), **blocks("python")}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (line,) = (line for text in commands() for line in text.splitlines() if line.startswith("sed "))
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    return tmp_path


def test_every_recipe_of_the_pages_is_sound(folder: Path) -> None:
    names = sorted(path.name for path in folder.glob("*.yaml"))
    assert names == ["denoise.yaml", "minded.yaml", "no_truth.yaml", "second.yaml"]
    recipes = {name: load_recipe(folder / name) for name in names}
    added = [penalty.type for penalty in recipes["second.yaml"].objective.penalties]
    assert added == [*(p.type for p in recipes["denoise.yaml"].objective.penalties), "detail_loss"]
    assert recipes["no_truth.yaml"].reference_kind == "rehearsal"


def test_the_marks_are_in_pairs_and_filled() -> None:
    for name, page in PAGES.items():
        opened, closed = re.findall(r"<!--(\w+)-->", page), re.findall(r"<!--/(\w+)-->", page)
        assert opened == closed, name
        assert not re.search(r"<!--(\w+)-->\s*<!--/\1-->", page), f"{name}: run benchmarks/tutorial.py --write"


@pytest.mark.slow
def test_the_tutorial_runs_shortened(folder: Path) -> None:
    def run(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for out, recipe in (("first", "denoise.yaml"), ("second", "second.yaml"), ("no_truth", "no_truth.yaml")):
        settings = [word for setting in (*SMALL, SHORT[out]) for word in ("--set", setting)]
        run("-m", "tuner", "run", recipe, "--out", f"runs/{out}", "--quiet", *settings)
        result = json.loads((folder / "runs" / out / "result.json").read_text(encoding="utf-8"))
        assert f"search.trials={result['trials']}" == SHORT[out] and result["failed"] == 0
        assert result["best"]["value"] >= result["start"]["value"]
        assert (folder / "runs" / out / "report.html").stat().st_size > 0
    table = run("unseen.py", "runs/first", "runs/second", "runs/no_truth").splitlines()
    assert [line.split()[0] for line in table[1:]] == ["defaults", "runs/first", "runs/second", "runs/no_truth"]
