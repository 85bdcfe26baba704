"""Composite search: the objective it models is the real one, it is deterministic, resumes, and beats random search."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.trial import TrialState

from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import Power, make_recipe, register
from tuner.parameter_space import ParameterSpace
from tuner.runner import Result, prepare, run
from tuner.search.composite import CompositeSampler
from tuner.search.composite_model import ObjectiveModel
from tuner.study import open_study

ONLY_GAMMA = {"name": "test.power", "search": {"gamma": {}}}
PENALTIES = [
    {"type": "exposure", "weight": 2.0, "above": 0.02},
    {"type": "blur", "weight": 3.0, "statistic": "p95", "region": "edges"},
    {"type": "luma_noise", "weight": 1.0, "above": 0.001, "statistic": "max"},
]


@pytest.fixture(autouse=True)
def _tiny_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def search(folder: Path, trials: int = 9, out: str = "run", resume: bool = False, **sections: Any) -> Result:
    options = {"strategy": "composite", "trials": trials, "seed": 3, **sections.pop("options", {})}
    sections.setdefault("objective", {"penalties": PENALTIES})
    recipe = make_recipe(folder, search=options, **sections)
    return run(recipe, folder / out, resume=resume, quiet=True, judge=FakeJudge())


def encode(space: ParameterSpace, params: dict[str, Any]) -> float:
    return float(space.to_unit(params)[0])


def trials_of(result: Result) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.params, trial.value) for trial in result.trials]


@pytest.mark.parametrize("kind", ["relational", "difference"])
def test_the_model_makes_of_a_trial_what_the_objective_made_of_it(tmp_path: Path, kind: str) -> None:
    objective = {
        "score": {"kind": kind, "weight": 0.7},
        "penalties": PENALTIES,
        "costs": [{"measure": "bytes", "weight": 0.01}],
        "constraints": [{"measure": "bytes", "at_most": 130, "at_least": 20}],
    }
    recipe = make_recipe(tmp_path, objective=objective, search={"strategy": "optuna", "sampler": "random", "trials": 6})
    trials = run(recipe, tmp_path / "run", quiet=True, judge=FakeJudge()).trials
    model = ObjectiveModel(prepare(recipe, FakeJudge())[0], trials)
    outputs = torch.from_numpy(model.observed())
    assert model.value(outputs).tolist() == pytest.approx([trial.value for trial in trials], abs=2e-4)
    violations = [list(trial.constraints.values()) for trial in trials]
    assert model.violations(outputs).tolist() == [pytest.approx(row) for row in violations]


def test_the_same_seed_gives_the_same_trials_the_defaults_first(tmp_path: Path) -> None:
    first = search(tmp_path, out="first")
    assert first.trials[0].params == {"gamma": 1.0, "lift": 0.0}
    assert [trial.user_attrs["role"] for trial in first.trials] == ["defaults"] + ["search"] * 8
    assert len({tuple(trial.params.values()) for trial in first.trials}) == 9
    assert trials_of(search(tmp_path, out="second")) == trials_of(first)
    assert trials_of(search(tmp_path, out="other", options={"seed": 4})) != trials_of(first)


def test_a_stopped_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(tmp_path, out="whole")
    process, calls = Power.process, itertools.count(1)

    def stopping(self: Power, image: Any, gamma: Any, lift: Any) -> Any:
        if next(calls) > 2 * 7:  # two pictures a trial
            raise KeyboardInterrupt
        return process(self, image, gamma, lift)

    with monkeypatch.context() as patch:
        patch.setattr(Power, "process", stopping)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path)
    assert trials_of(search(tmp_path, resume=True)) == trials_of(whole)


def test_it_beats_random_search_of_equal_budget(tmp_path: Path) -> None:
    composite = search(tmp_path, 14).best["value"]
    random = {"strategy": "optuna", "sampler": "random"}
    others = [search(tmp_path, 14, f"random{n}", options={**random, "seed": n}).best["value"] for n in range(3)]
    assert composite > max(others)


def test_trials_under_way_elsewhere_are_not_proposed_again(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, search={"strategy": "composite", "trials": 7}, pipeline=ONLY_GAMMA)
    run(recipe, tmp_path / "run", quiet=True, judge=FakeJudge())
    objective, space = prepare(recipe, FakeJudge())
    study = open_study(tmp_path / "run")
    asked = []
    for slot in range(7, 11):
        study.sampler = CompositeSampler(objective, space, recipe.search, slot)
        asked.append(encode(space, study.ask(space.distributions).params))
    known = [encode(space, trial.params) for trial in study.trials[:7]]
    for index, place in enumerate(asked):
        assert min(abs(place - other) for other in [*known, *asked[:index]]) > 2e-5


def test_limits_are_kept_and_the_best_lies_on_the_limit(tmp_path: Path) -> None:
    # The best gamma, 1.6, has 160 bytes.
    objective = {"penalties": PENALTIES, "constraints": [{"measure": "bytes", "at_most": 130}]}
    result = search(tmp_path, 14, pipeline=ONLY_GAMMA, objective=objective)
    assert result.best["feasible"]
    assert 126 < result.best["measures"]["bytes"] <= 130


def test_choices_and_whole_numbers(tmp_path: Path) -> None:
    pipeline = {"name": "test.steps", "search": {"mode": {}, "levels": {}}}
    result = search(tmp_path, 14, pipeline=pipeline)
    assert result.best_parameters["mode"] == "dark"  # the inputs are too bright
    assert all(isinstance(trial.params["levels"], int) for trial in result.trials)
    assert len({tuple(trial.params.values()) for trial in result.trials}) == 14


def test_a_space_that_is_used_up_ends_in_repetitions_not_in_an_error(tmp_path: Path) -> None:
    pipeline = {"name": "test.steps", "search": {"mode": {}, "levels": {"low": 2, "high": 3}}}
    assert len(search(tmp_path, 12, pipeline=pipeline).trials) == 12


def test_failed_trials_are_learned_from(tmp_path: Path) -> None:
    result = search(tmp_path, 20, pipeline={"name": "test.fragile", "search": {"gamma": {}}})
    failed = [trial.number for trial in result.trials if trial.state == TrialState.FAIL]
    assert failed  # half of the range
    assert sum(number >= 10 for number in failed) <= 4  # half of the range fails
    assert abs(result.best_parameters["gamma"] - 1.6) < 0.05


def test_several_objectives_spread_over_the_front(tmp_path: Path) -> None:
    objective = {"pareto": [{"measure": "bytes", "goal": "minimize"}]}
    result = search(tmp_path, 20, pipeline=ONLY_GAMMA, objective=objective)
    gammas = [trial.params["gamma"] for trial in result.front]
    # From the smallest file to the best picture; beyond that both get worse.
    assert len(gammas) >= 10
    assert min(gammas) < 0.4 and 1.5 < max(gammas) < 1.7


def test_candidates_compared_with_the_incumbent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"composite.*incumbent, expected optuna"):
        search(tmp_path, images={"input": "in/*.png", "reference": "incumbent"})
