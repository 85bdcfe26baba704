"""Sweeps: which points, in which order, resumed, and what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tuner import load_recipe, run
from tuner.parameter_space import Dimension, ParameterSpace
from tuner.recipe_search import SweepSearch
from tuner.report.sweep_page import PAGE
from tuner.search.sweep import plan

PHOTOS = Path(__file__).parents[2] / "recipes" / "photos"


def recipe(**search):
    return load_recipe(
        {
            "pipeline": {
                "name": "denoise.bilateral",
                "search": {"sigma_color": {"low": 0.01, "high": 0.3}, "window": {"choices": [3, 5]}},
            },
            "images": {"input": "noisy/dog.png", "reference": "clean/dog.png", "crop": 48},
            "search": {"strategy": "sweep", **search},
        },
        folder=PHOTOS,
    )


def test_lines_move_one_parameter_and_pairs_two() -> None:
    space = ParameterSpace([Dimension("a", 0.0, 1.0, default=0.3), Dimension("b", choices=("x", "y"), default="y")])
    points = plan(space, SweepSearch(points=3, pairs=[["a", "b"]], pair_points=2))
    assert [point.axes for point in points] == [("a",)] * 3 + [("b",)] * 2 + [("a", "b")] * 4
    assert [point.parameters["a"] for point in points[:5]] == [0.0, 0.5, 1.0, 0.3, 0.3]
    assert [point.parameters["b"] for point in points[:5]] == ["y", "y", "y", "x", "y"]
    assert {(p.parameters["a"], p.parameters["b"]) for p in points[5:]} == {(a, b) for a in (0.0, 1.0) for b in "xy"}


def test_a_sweep_is_recorded_resumed_and_plotted(tmp_path: Path) -> None:
    short = recipe(points=4, pairs=[["sigma_color", "window"]], pair_points=2, timeout=1e-6)
    with pytest.raises(Exception, match="no time"):
        run(short, tmp_path / "run", quiet=True, judge=FakeJudge())
    whole = recipe(points=4, pairs=[["sigma_color", "window"]], pair_points=2)
    result = run(whole, tmp_path / "run", resume=True, quiet=True, judge=FakeJudge())
    assert len(result.trials) == 1 + 4 + 2 + 4
    values = [trial.params["sigma_color"] for trial in result.trials[1:5]]
    assert values == sorted(values) and values[0] == pytest.approx(0.01) and values[-1] == pytest.approx(0.3)
    page = (result.run_dir / PAGE).read_text(encoding="utf-8")
    assert page.count('aria-label="objective against') == 2
    assert 'aria-label="objective over sigma_color and window"' in page
    for trial in result.trials[1:5]:
        assert f"objective {trial.value:.4f}" in page


def test_pairs_name_searched_parameters(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'sigma_colour' is not searched.*did you mean 'sigma_color'"):
        run(recipe(pairs=[["sigma_colour", "window"]]), tmp_path / "run", quiet=True, judge=FakeJudge())
    assert not (tmp_path / "run").exists()
