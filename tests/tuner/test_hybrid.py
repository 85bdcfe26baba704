"""Hybrid search: sampled and ascended parameters, what a trial costs, determinism, resuming, refusals."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from optuna.trial import TrialState
from torch import Tensor

import pipelines.registry
from pipelines.contract import Output
from pipelines.parameters import Choice, Parameter
from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import Power, make_recipe, register
from tuner.runner import Result, run

GAMMA = {"name": "test.shifted", "search": {"gamma": {}, "shift": {}}}


class Shifted(Power):
    """Power with a choice that spoils it, or makes it fail."""

    name = "shifted"
    parameters: ClassVar[dict[str, Parameter | Choice]] = {
        "gamma": Parameter(0.25, 4.0, 1.0, log=True),
        "shift": Choice(("up", "none", "broken"), "up"),
    }

    def process(self, image: Tensor, gamma: Tensor, shift: str) -> Output:  # type: ignore[override]
        """``image ** gamma``, brighter where ``shift`` is up."""
        if shift == "broken":
            raise RuntimeError("no such mode")
        return super().process(image, gamma, gamma.new_tensor(0.2 if shift == "up" else 0.0))


class Quantized(Power):
    """Power behind a stage of a program's kind: no gradient comes back through it, nor to its parameter."""

    name = "quantized"
    parameters: ClassVar[dict[str, Parameter | Choice]] = {
        "gamma": Parameter(0.25, 4.0, 1.0, log=True),
        "shift": Parameter(-0.3, 0.3, 0.25),
    }

    def process(self, image: Tensor, gamma: Tensor, shift: Tensor) -> Output:  # type: ignore[override]
        """The picture shifted and in 256 levels, then ``** gamma``."""
        with torch.no_grad():
            image = ((image + shift).clamp(0.0, 1.0) * 255.0).round() / 255.0
        return super().process(image, gamma, gamma.new_tensor(0.0))


@pytest.fixture(autouse=True)
def _pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    for cls in (Shifted, Quantized):
        monkeypatch.setitem(pipelines.registry.BUILT_INS, f"test.{cls.name}", f"{cls.__module__}:{cls.__name__}")


def search(folder: Path, trials: int = 8, out: str = "run", resume: bool = False, **sections: Any) -> Result:
    options = {"strategy": "hybrid", "trials": trials, "steps": 6, "seed": 1, **sections.pop("options", {})}
    recipe = make_recipe(folder, search=options, **{"pipeline": GAMMA, **sections})
    return run(recipe, folder / out, resume=resume, quiet=True, judge=FakeJudge())


def trials_of(result: Result) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.params, None if trial.state == TrialState.FAIL else trial.value) for trial in result.trials]


def test_finds_the_choice_and_ascends_within_it(tmp_path: Path) -> None:
    result = search(tmp_path, options={"sampler": "random"})
    assert result.best_parameters["shift"] == "none"
    assert result.best_parameters["gamma"] == pytest.approx(1.6, rel=0.01)
    assert result.start["parameters"] == {"gamma": 1.0, "shift": "up"}
    assert result.start["value"] == result.trials[0].value


def test_a_trial_tells_its_path_and_what_it_cost(tmp_path: Path) -> None:
    trials = search(tmp_path, trials=4).trials
    assert "runs" not in trials[0].user_attrs  # the defaults, evaluated once
    second = trials[1]
    assert second.params["shift"] == "up"
    path = second.user_attrs["path"]
    assert path[0] == pytest.approx(trials[0].value, abs=1e-5)
    assert second.value == max(path)
    assert second.value > trials[0].value
    assert second.user_attrs["runs"] == 3 * len(path)


def test_an_ascent_begins_at_the_best_so_far(tmp_path: Path) -> None:
    trials = search(tmp_path, trials=6, options={"sampler": "random", "steps": 3}).trials
    best = trials[0]
    for trial in trials[1:]:
        if trial.state == TrialState.COMPLETE:
            if trial.params["shift"] == best.params["shift"]:
                assert trial.user_attrs["path"][0] == pytest.approx(best.value, abs=1e-5)
            best = max(best, trial, key=lambda t: t.value)


def test_failed_trials_are_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    trials = search(tmp_path, trials=10, options={"sampler": "random"}).trials
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert failed and len(failed) < 10
    assert all("no such mode" in trial.user_attrs["reason"] and trial.user_attrs["runs"] == 1 for trial in failed)


def test_every_choice_is_tried_before_one_comes_again(tmp_path: Path) -> None:
    for seed in range(3):
        shifts = [t.params["shift"] for t in search(tmp_path, out=f"run{seed}", options={"seed": seed}).trials]
        assert shifts[:2] == ["up", "up"]  # the defaults, and the ascent from them
        assert set(shifts[2:4]) == {"none", "broken"}


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_named_continuous_parameters_are_sampled(tmp_path: Path, sampler: str) -> None:
    pipeline = {"name": "test.power", "search": {"gamma": {}, "lift": {}}}
    options = {"sampled": ["gamma"], "sampler": sampler, "steps": 3}
    result = search(tmp_path, trials=12, pipeline=pipeline, options=options)
    gammas = [trial.params["gamma"] for trial in result.trials]
    assert gammas[:2] == [1.0, 1.0]  # the defaults, and the ascent from them
    assert len(set(gammas)) == 11
    assert result.best["value"] > result.trials[1].value


def test_a_black_box_stage_is_sampled_and_the_rest_ascended(tmp_path: Path) -> None:
    pipeline = {"name": "test.quantized", "search": {"gamma": {}, "shift": {}}}
    options = {"sampled": ["shift"], "sampler": "gp", "steps": 5}
    result = search(tmp_path, trials=14, pipeline=pipeline, options=options)
    assert result.best_parameters["shift"] == pytest.approx(0.0, abs=0.03)
    assert result.best_parameters["gamma"] == pytest.approx(1.6, rel=0.06)
    for trial in result.trials[1:]:  # gamma is ascended at each shift, whatever that is
        assert trial.value == max(trial.user_attrs["path"]) and len(trial.user_attrs["path"]) > 1


def test_a_stopped_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(tmp_path, out="whole")
    process, calls = Shifted.process, itertools.count(1)

    def stopping(self: Shifted, image: Any, gamma: Any, shift: Any) -> Any:
        if next(calls) > 2 * 9:  # two pictures; within an ascent
            raise KeyboardInterrupt
        return process(self, image, gamma, shift)

    with monkeypatch.context() as patch:
        patch.setattr(Shifted, "process", stopping)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path)
    assert trials_of(search(tmp_path, resume=True)) == trials_of(whole)


def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to sample"):
        search(tmp_path, pipeline={"name": "test.power", "search": {"gamma": {}}})
    with pytest.raises(UserError, match="not differentiable"):
        search(tmp_path, pipeline={"name": "test.steps", "search": {"levels": {}}})
    with pytest.raises(UserError, match="nothing left to ascend"):
        search(tmp_path, options={"sampled": ["gamma"]})
    with pytest.raises(UserError, match=r"search\.sampled: 'gama'.*did you mean 'gamma'"):
        search(tmp_path, options={"sampled": ["gama"]})
    with pytest.raises(UserError, match=r"objective\.pareto"):
        search(tmp_path, objective={"pareto": [{"measure": "bytes"}]})
    with pytest.raises(UserError, match="incumbent"):
        search(tmp_path, images={"input": "in/*.png", "reference": "incumbent"})


def test_a_limit_is_kept_and_approached(tmp_path: Path) -> None:
    limit = [{"measure": "bytes", "at_most": 130.0}]  # gamma at most 1.3, while 1.6 would be best
    result = search(tmp_path, trials=6, objective={"constraints": limit}, options={"sampler": "random", "steps": 8})
    best = result.best["measures"]["bytes"]
    assert 120.0 < best <= 130.0
    assert result.best_parameters["shift"] == "none"
    assert result.best["value"] > result.start["value"]
    for trial in result.trials:  # what an ascent keeps is never worse by the limit than where it began
        assert trial.state != TrialState.COMPLETE or max(trial.constraints.values()) <= 0
