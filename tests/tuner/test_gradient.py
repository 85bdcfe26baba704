"""Gradient ascent: it finds the optimum, backs off when steps fail, and goes on exactly where it stopped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from scipy.optimize import minimize

from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import TRUE_GAMMA, Fragile, Power, make_recipe, register
from tuner.runner import Result, run
from tuner.search.descent import OPTIMIZERS, AdamState
from tuner.search.sequences import sobol_point

GAMMA_RANGE = math.log(4.0 / 0.25)


@pytest.fixture(autouse=True)
def _tiny_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def search(folder: Path, pipeline: dict[str, Any] | None = None, **options: Any) -> Result:
    recipe = make_recipe(
        folder,
        pipeline=pipeline or {"name": "test.power", "search": {"gamma": {}}},
        search={"strategy": "gradient", "starts": 1, "steps": 25, "seed": 0, **options},
    )
    return run(recipe, folder / "run", quiet=True, judge=FakeJudge())


def error_of(result: Result) -> float:
    """Distance from the true gamma as a share of the logarithmic range."""
    return abs(math.log(result.best_parameters["gamma"] / TRUE_GAMMA)) / GAMMA_RANGE


def test_undoes_a_known_gamma(tmp_path: Path) -> None:
    result = search(tmp_path)
    assert error_of(result) < 0.02
    assert result.best["value"] > 0.01 * result.start["value"]
    first = result.trials[0]
    assert first.params == {"gamma": 1.0}
    assert first.user_attrs["role"] == "defaults"


def test_steps_are_at_most_the_learning_rate(tmp_path: Path) -> None:
    logs = [math.log(trial.params["gamma"]) / GAMMA_RANGE for trial in search(tmp_path, learning_rate=0.03).trials]
    assert np.abs(np.diff(logs[:6])).max() == pytest.approx(0.03, rel=0.02)


def test_an_optimum_beyond_the_range_is_found_on_its_bound(tmp_path: Path) -> None:
    result = search(tmp_path, {"name": "test.power", "search": {"gamma": {"low": 0.5, "high": 1.2}}})
    assert result.best_parameters["gamma"] == pytest.approx(1.2, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgsb"])
def test_a_limit_is_crept_up_to(tmp_path: Path, optimizer: str) -> None:
    recipe = make_recipe(
        tmp_path,
        pipeline={"name": "test.power", "search": {"gamma": {}}},
        objective={"constraints": [{"measure": "bytes", "at_most": 130.0}]},  # gamma at most 1.3 on the way to 1.6
        search={"strategy": "gradient", "optimizer": optimizer, "starts": 1, "steps": 25, "seed": 0},
    )
    result = run(recipe, tmp_path / "run", quiet=True, judge=FakeJudge())
    assert 1.28 < result.best_parameters["gamma"] <= 1.3
    assert any(max(trial.constraints.values()) > 0 for trial in result.trials)  # it had to go back


def test_steps_into_failures_are_taken_back_and_halved(tmp_path: Path) -> None:
    # On the linear scale of this pipeline a learning rate of 0.5 steps from 1.0 to 2.9, where it returns NaN.
    result = search(tmp_path, {"name": "test.fragile", "search": {"gamma": {}}}, learning_rate=0.5)
    failed = [trial for trial in result.trials if trial.state == TrialState.FAIL]
    assert "NaN" in failed[0].user_attrs["reason"]
    assert abs(result.best_parameters["gamma"] - TRUE_GAMMA) < 0.02 * 3.75
    steps = [trial.params["gamma"] - 1.0 for trial in result.trials[1:3]]
    assert steps[1] == pytest.approx(steps[0] / 2, rel=1e-3)


def test_a_failing_first_point_is_replaced_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Fragile.parameters, "gamma", type(Fragile.parameters["gamma"])(0.25, 4.0, 3.5))
    result = search(tmp_path, {"name": "test.fragile", "search": {"gamma": {}}}, steps=40)
    assert result.trials[0].state == TrialState.FAIL
    assert result.start["number"] > 0  # the first completed one stands in for the defaults
    assert abs(result.best_parameters["gamma"] - TRUE_GAMMA) < 0.02 * 3.75


def test_rising_steps_are_taken_back() -> None:
    state = AdamState(0, [0.5], 0.1, 0)
    state.accept(1.0, np.array([2.0]), 0.1)
    assert state.point == pytest.approx([0.4])
    state.back_off()
    assert state.good == [0.5]
    assert state.point == pytest.approx([0.45])
    state.point, loss = [0.45], 0.9
    state.accept(loss, np.array([2.0]), 0.1)
    assert state.step_size == pytest.approx(0.05 * 1.25)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgsb"])
def test_a_narrow_valley_along_the_bounds(optimizer: str) -> None:
    """A quadratic of condition 100 whose minimum lies on two bounds of the box."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    hessian = turn @ np.diag(np.logspace(0, 2, 6)) @ turn.T
    centre = np.array([1.3, -0.2, 0.5, 0.4, 0.7, 0.6])

    def loss(point: np.ndarray) -> float:
        return float(0.5 * (point - centre) @ hessian @ (point - centre))

    exact = minimize(loss, np.full(6, 0.5), bounds=[(0, 1)] * 6, method="L-BFGS-B").fun
    state = OPTIMIZERS[optimizer](0, [0.2] * 6, 0.1, 0)
    steps = 0
    while not state.done and loss(np.array(state.good or state.point)) > exact * 1.01 and steps < 400:
        point = np.array(state.point)
        assert (point >= 0).all() and (point <= 1).all()
        gradient = hessian @ (point - centre)
        if loss(point) <= state.good_loss:
            state.accept(loss(point), gradient, 0.1)
        else:
            state.back_off(loss(point), gradient)
        steps += 1
    assert loss(np.array(state.good)) <= exact * 1.01
    assert steps < (40 if optimizer == "lbfgsb" else 400)


def test_lbfgsb_finds_the_optimum_in_fewer_steps_than_adam(tmp_path: Path) -> None:
    pipeline = {"name": "test.power", "search": {"gamma": {}, "lift": {}}}
    needed = []
    for optimizer in ("adam", "lbfgsb"):
        values = [t.value for t in search(tmp_path / optimizer, pipeline, optimizer=optimizer, steps=40).trials]
        needed.append(next(n for n, value in enumerate(values) if value > 0.01 * values[0]))
    assert needed[1] <= needed[0]


def test_lbfgsb_takes_steps_into_failures_back(tmp_path: Path) -> None:
    options = {"optimizer": "lbfgsb", "learning_rate": 0.5}
    result = search(tmp_path, {"name": "test.fragile", "search": {"gamma": {}}}, **options)
    assert result.trials[1].state == TrialState.FAIL
    assert abs(result.best_parameters["gamma"] - TRUE_GAMMA) < 0.02 * 3.75


def test_what_a_step_costs_is_recorded(tmp_path: Path) -> None:
    result = search(tmp_path, {"name": "test.fragile", "search": {"gamma": {}}}, learning_rate=0.5, steps=5)
    for trial in result.trials:  # forward one, backward two; a step that failed got no further than forward
        assert trial.user_attrs["runs"] == (1 if trial.state == TrialState.FAIL else 3)


def test_without_backing_off_every_step_is_taken_and_steps_shrink(tmp_path: Path) -> None:
    result = search(tmp_path, back_off=False, steps=40, learning_rate=0.1)
    logs = [math.log(trial.params["gamma"]) / GAMMA_RANGE for trial in result.trials]
    assert len(logs) == 40
    assert np.abs(np.diff(logs[-8:])).max() < 0.02
    assert error_of(result) < 0.03


def test_a_start_ends_when_it_has_converged(tmp_path: Path) -> None:
    result = search(tmp_path, {"name": "test.power", "search": {"lift": {}}, "fixed": {"gamma": 1.6}}, steps=200)
    assert len(result.trials) < 100


def test_starts_are_the_defaults_and_then_sobol_points(tmp_path: Path) -> None:
    result = search(tmp_path, starts=3, steps=4, seed=5)
    assert [(t.user_attrs["start"], t.user_attrs["step"]) for t in result.trials] == [
        (start, step) for start in range(3) for step in range(4)
    ]
    for start in (1, 2):
        point = math.log(result.trials[4 * start].params["gamma"] / 0.25) / GAMMA_RANGE
        assert point == pytest.approx(sobol_point(1, 5, start - 1)[0], abs=1e-6)


def test_the_same_seed_gives_the_same_trials(tmp_path: Path) -> None:
    runs = [search(tmp_path / str(n), starts=2, steps=5, seed=seed) for n, seed in enumerate((1, 1, 2))]
    params = [[(trial.params, trial.value) for trial in result.trials] for result in runs]
    assert params[0] == params[1]
    assert params[0] != params[2]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgsb"])
def test_a_stopped_search_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"strategy": "gradient", "optimizer": optimizer, "starts": 2, "steps": 7, "seed": 1}
    whole = run(make_recipe(tmp_path, search=options), tmp_path / "whole", quiet=True, judge=FakeJudge())
    for stop_at in (3, 9):  # within the first start, within the second
        folder = tmp_path / f"stopped{stop_at}"
        calls = 0
        process = Power.process

        def stopping(self: Power, *args: Any, stop_at: int = stop_at, process: Any = process, **values: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > 2 * stop_at:  # two pictures a trial
                raise KeyboardInterrupt
            return process(self, *args, **values)

        with monkeypatch.context() as patch:
            patch.setattr(Power, "process", lambda self, image, gamma, lift, s=stopping: s(self, image, gamma, lift))
            with pytest.raises(KeyboardInterrupt):
                run(make_recipe(tmp_path, search=options), folder, quiet=True, judge=FakeJudge())
        resumed = run(make_recipe(tmp_path, search=options), folder, resume=True, quiet=True, judge=FakeJudge())
        assert [t.params for t in resumed.trials] == [t.params for t in whole.trials]
        assert [t.value for t in resumed.trials] == [t.value for t in whole.trials]


def test_what_has_no_gradient_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not differentiable"):
        search(tmp_path, {"name": "test.steps", "search": {"levels": {}}})
    recipe = make_recipe(
        tmp_path,
        images={"input": "in/*.png", "reference": "incumbent"},
        search={"strategy": "gradient", "starts": 1, "steps": 2},
    )
    with pytest.raises(UserError, match="incumbent"):
        run(recipe, tmp_path / "run", quiet=True, judge=FakeJudge())
    assert not (tmp_path / "run").exists()
