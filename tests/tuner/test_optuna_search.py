"""Black-box search: every sampler, same seed same trials, constraints, failures, the incumbent, resuming."""

from __future__ import annotations

import itertools
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import TRUE_GAMMA, Power, make_recipe, register
from tuner.recipe_search import OptunaSearch
from tuner.runner import Result, run
from tuner.search.optuna_search import SAMPLERS, SEQUENCES
from tuner.search.table import STRATEGIES, strategy

GAMMA_RANGE = math.log(4.0 / 0.25)
ONLY_GAMMA = {"name": "test.power", "search": {"gamma": {}}}


@pytest.fixture(autouse=True)
def _tiny_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def search(folder: Path, sampler: str = "tpe", trials: int = 12, out: str = "run", **sections: Any) -> Result:
    options = {"strategy": "optuna", "sampler": sampler, "trials": trials, "seed": 3, **sections.pop("options", {})}
    resume = sections.pop("resume", False)
    recipe = make_recipe(folder, search=options, **sections)
    return run(recipe, folder / out, resume=resume, quiet=True, judge=FakeJudge())


def trials_of(result: Result) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.params, trial.value) for trial in result.trials]


NAMES = sorted([*SAMPLERS, *SEQUENCES])


class Constant(RandomSampler):  # type: ignore[misc]
    """A sampler of this module: always ``value``."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> float:
        return self._value


def test_the_table_and_the_recipe_know_the_same_samplers() -> None:
    assert set(NAMES) == set(OptunaSearch.SAMPLERS)


@pytest.mark.parametrize("name", ["NSGAIIISampler", "QMCSampler", "BruteForceSampler"])
def test_any_sampler_of_optuna_by_its_name(tmp_path: Path, name: str) -> None:
    pipeline = {"name": "test.steps", "search": {"levels": {}, "mode": {}}}
    first = search(tmp_path, name, 8, out="first", pipeline=pipeline)
    assert len(first.trials) == 8
    assert trials_of(search(tmp_path, name, 8, out="second", pipeline=pipeline)) == trials_of(first)


def test_a_sampler_of_another_package_with_its_options(tmp_path: Path) -> None:
    name = f"{Constant.__module__}:Constant"
    result = search(tmp_path, name, 3, pipeline=ONLY_GAMMA, options={"options": {"value": 1.5}})
    assert [trial.params["gamma"] for trial in result.trials] == [1.0, 1.5, 1.5]


def test_options_reach_the_sampler(tmp_path: Path) -> None:
    plain = search(tmp_path, "tpe", 8, out="plain")
    late = search(tmp_path, "tpe", 8, out="late", options={"options": {"n_startup_trials": 3}})
    assert trials_of(plain)[:3] == trials_of(late)[:3]
    assert trials_of(plain)[3:] != trials_of(late)[3:]


@pytest.mark.parametrize(
    ("sampler", "options", "message"),
    [
        ("tpe", {"n_startup_trial": 3}, r"TPESampler takes no 'n_startup_trial'.*did you mean 'n_startup_trials'"),
        ("TPESampler", {"gama": 3}, r"search\.options: TPESampler takes no 'gama'"),
        ("nsga2", {"population_size": 1}, r"search\.options: NSGAIISampler does not take .*population_size"),
        ("qmc", {"scramble": True}, r"search\.options: qmc takes none"),
        ("TPESampel", {}, r"search\.sampler: found 'TPESampel'.*did you mean 'TPESampler'"),
        ("no_such_package:Sampler", {}, r"search\.sampler: 'no_such_package:Sampler' is unknown"),
        ("pathlib:Path", {}, r"search\.sampler: 'pathlib:Path' is no sampler"),
    ],
)
def test_samplers_and_options_that_do_not_exist_are_refused(
    tmp_path: Path, sampler: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search(tmp_path, sampler, options={"options": options})
    assert not (tmp_path / "run").exists()


def test_strategies_are_found_by_name() -> None:
    assert strategy("optuna") is STRATEGIES["optuna"]
    with pytest.raises(UserError, match="did you mean 'gradient'"):
        strategy("gradeint")
    with pytest.raises(UserError, match="load_recipe"):
        strategy("auto")


def test_reaches_the_optimum_that_the_gradient_reaches(tmp_path: Path) -> None:
    black_box = search(tmp_path, "gp", trials=20, pipeline=ONLY_GAMMA).best_parameters["gamma"]
    options = {"strategy": "gradient", "starts": 1, "steps": 25}
    recipe = make_recipe(tmp_path, pipeline=ONLY_GAMMA, search=options)
    gradient = run(recipe, tmp_path / "gradient", quiet=True, judge=FakeJudge()).best_parameters["gamma"]
    assert abs(math.log(black_box / TRUE_GAMMA)) < 0.02 * GAMMA_RANGE
    assert abs(math.log(black_box / gradient)) < 0.02 * GAMMA_RANGE


@pytest.mark.parametrize("sampler", NAMES)
def test_every_sampler_starts_at_the_defaults_and_repeats_itself_by_seed(tmp_path: Path, sampler: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = search(tmp_path, sampler, out="first")
    assert len(first.trials) == 12
    assert first.trials[0].params == {"gamma": 1.0, "lift": 0.0}
    assert [trial.user_attrs["role"] for trial in first.trials] == ["defaults"] + ["search"] * 11
    assert len({tuple(trial.params.values()) for trial in first.trials[1:]}) == 11
    assert trials_of(search(tmp_path, sampler, out="second")) == trials_of(first)
    assert trials_of(search(tmp_path, sampler, out="other", options={"seed": 4})) != trials_of(first)


@pytest.mark.parametrize("sampler", NAMES)
def test_a_stopped_search_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = 16  # beyond the random start of tpe and gp, and a population of nsga2
    whole = search(tmp_path, sampler, trials, out="whole")
    process, calls = Power.process, itertools.count(1)

    def stopping(self: Power, image: Any, gamma: Any, lift: Any) -> Any:
        if next(calls) > 2 * 13:  # two pictures a trial
            raise KeyboardInterrupt
        return process(self, image, gamma, lift)

    with monkeypatch.context() as patch:
        patch.setattr(Power, "process", stopping)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, sampler, trials)
    resumed = search(tmp_path, sampler, trials, resume=True)
    assert len(resumed.trials) == trials
    if sampler == "cmaes":  # draws by the trial's number, in which the stopped trial has a part
        trials = 14
    assert trials_of(resumed)[:trials] == trials_of(whole)[:trials]


def test_grid_visits_every_combination_once_and_ends(tmp_path: Path) -> None:
    pipeline = {"name": "test.steps", "search": {"mode": {}, "levels": {"low": 2, "high": 8}}}
    result = search(tmp_path, "grid", 100, pipeline=pipeline, options={"points": 3})
    assert len(result.trials) == 1 + 3 * 3
    points = {(trial.params["mode"], trial.params["levels"]) for trial in result.trials[1:]}
    assert points == set(itertools.product(("dark", "same", "bright"), (2, 5, 8)))
    assert result.best_parameters["mode"] == "dark"  # the inputs are too bright


def test_too_large_a_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"grid has 4000000 points.*fewer search\.points"):
        search(tmp_path, "grid", 10, options={"points": 2000})


def test_failed_trials_are_recorded_with_their_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    result = search(tmp_path, "random", 30, pipeline={"name": "test.fragile", "search": {"gamma": {}}})
    assert len(result.trials) == 30
    failed = [trial for trial in result.trials if trial.state == TrialState.FAIL]
    reasons = " ".join(trial.user_attrs["reason"] for trial in failed)
    assert all(text in reasons for text in ("gamma too steep", "NaN", "shape"))
    assert all(trial.params["gamma"] > 2.0 for trial in failed)
    assert result.best["value"] > result.start["value"]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "random"])
def test_an_infeasible_trial_is_never_best(tmp_path: Path, sampler: str) -> None:
    # The best gamma, 1.6, has 160 bytes.
    objective = {"constraints": [{"measure": "bytes", "at_most": 130}]}
    result = search(tmp_path, sampler, 20, pipeline=ONLY_GAMMA, objective=objective)
    assert result.best["feasible"]
    assert result.best["measures"]["bytes"] <= 130
    assert any(trial.constraints["bytes<=130"] > 0 for trial in result.trials)
    assert max(trial.value for trial in result.trials) >= result.best["value"]
    feasible = [trial.value for trial in result.trials if trial.user_attrs["feasible"]]
    assert result.best["value"] == max(feasible)


def test_of_infeasible_trials_the_least_violation_is_best(tmp_path: Path) -> None:
    objective = {"constraints": [{"measure": "bytes", "at_most": 10}]}
    result = search(tmp_path, "random", 8, pipeline=ONLY_GAMMA, objective=objective)
    assert not result.best["feasible"]
    assert result.best_parameters["gamma"] == min(trial.params["gamma"] for trial in result.trials)


def test_cmaes_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    objective = {"constraints": [{"measure": "bytes", "at_most": 130}]}
    with pytest.raises(UserError, match="cmaes cannot follow constraints"):
        search(tmp_path, "cmaes", objective=objective)
    with pytest.raises(UserError, match="cmaes needs a numeric parameter"):
        search(tmp_path, "cmaes", pipeline={"name": "test.steps", "search": {"mode": {}}})


def test_timeout_ends_the_search_after_the_trial_under_way(tmp_path: Path) -> None:
    pipeline = {"name": "test.slow", "search": {"gamma": {}}}
    result = search(tmp_path, "random", 10_000, pipeline=pipeline, options={"timeout": 0.4})
    assert 1 <= len(result.trials) <= 8


class DarkIsBetter(FakeJudge):
    """Prefers the darker picture; anti-symmetric, as the real judge is."""

    def judge(self, test: Any, ref: Any) -> Any:
        image = getattr(ref, "image", ref)
        return super().judge(test, ref)[0], image.mean((1, 2, 3)) - test.mean((1, 2, 3))


def test_incumbent_reference_climbs_on_one_scale_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = {"input": "in/*.png", "reference": "incumbent"}
    options = {"strategy": "optuna", "sampler": "random", "trials": 15, "seed": 0}

    def go(out: str, trials: int = 15, resume: bool = False) -> Result:
        recipe = make_recipe(tmp_path, images=images, pipeline=ONLY_GAMMA, search={**options, "trials": trials})
        return run(recipe, tmp_path / out, resume=resume, quiet=True, judge=DarkIsBetter())

    whole = go("whole")
    assert whole.start["value"] == 0.0
    darkest = max(trial.params["gamma"] for trial in whole.trials)
    assert whole.best_parameters["gamma"] == darkest
    # The judge is transitive, so that the chained value is the difference from the start.
    outputs = {trial.params["gamma"]: trial.value for trial in whole.trials}
    assert sorted(outputs, key=lambda gamma: outputs[gamma]) == sorted(outputs)
    assert any(trial.user_attrs.get("offset") for trial in whole.trials)

    go("stopped", trials=7)
    assert trials_of(go("stopped", resume=True)) == trials_of(whole)
    assert (tmp_path / "whole" / "maps" / "p0.png").is_file()
