"""Several objectives: the front of value and measures, what is refused, what is written, resuming."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection, create_study
from optuna.trial import FrozenTrial, TrialState, create_trial

from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import Power, make_recipe, register
from tuner.pareto import front_record, hypervolume_record, joined_front
from tuner.recipe_objective import ParetoTerm
from tuner.runner import Result, run
from tuner.study import open_study, value_of

BYTES = [{"measure": "bytes", "goal": "minimize"}]
GAMMA = {"name": "test.power", "search": {"gamma": {}}}
BOTH = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)


@pytest.fixture(autouse=True)
def _tiny_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def search(folder: Path, sampler: str = "nsga2", trials: int = 40, out: str = "run", **sections: Any) -> Result:
    resume = sections.pop("resume", False)
    options = {"strategy": "optuna", "sampler": sampler, "trials": trials, "seed": 3}
    objective = {"pareto": BYTES, **sections.pop("objective", {})}
    recipe = make_recipe(folder, **{"pipeline": GAMMA, "search": options, "objective": objective, **sections})
    return run(recipe, folder / out, resume=resume, quiet=True, judge=FakeJudge())


def numbers(trials: list[FrozenTrial]) -> list[int]:
    return sorted(trial.number for trial in trials)


OUTCOMES = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.booleans(), st.booleans()), max_size=25)


@given(OUTCOMES)
def test_the_front_is_optunas(outcomes: list[tuple[int, int, bool, bool]]) -> None:
    study = create_study(directions=["maximize", "minimize"])
    front: list[FrozenTrial] = []
    for value, size, feasible, failed in outcomes:
        trial = create_trial(
            values=None if failed else [float(value), float(size)],
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
            constraints={"c": -1.0 if feasible else 1.0},
        )
        study.add_trial(trial)
        front = joined_front(front, study.trials[-1], study.directions)
    assert numbers(front) == numbers(study.best_trials)


def test_a_front_as_data() -> None:
    trials = [create_trial(values=[float(v), v * 10.0], user_attrs={"measures": {"bytes": v * 10.0}}) for v in (1, 3)]
    record = front_record(trials, [ParetoTerm(measure="bytes")], {"lift": 0.0})
    assert record["objectives"] == [{"name": "value", "goal": "maximize"}, {"name": "bytes", "goal": "minimize"}]
    assert [row["value"] for row in record["front"]] == [3.0, 1.0]
    assert record["front"][0]["measures"] == {"bytes": 30.0}
    assert record["front"][0]["parameters"] == {"lift": 0.0}


def outcome(value: float, size: float, violation: float = -1.0) -> FrozenTrial:
    return create_trial(values=[value, size], constraints={"c": violation})


def test_hypervolume_against_hand_computed_values() -> None:
    # Reference point: value 0, size 10. Two steps of the front: 2 x (10 - 4), and 1 more of value up to size 9.
    trials = [outcome(0.0, 8.0), create_trial(state=TrialState.FAIL), outcome(2.0, 4.0), outcome(3.0, 9.0)]
    trials += [outcome(1.0, 10.0), outcome(9.0, 1.0, violation=0.5)]
    record = hypervolume_record(trials, BOTH, history=True)
    assert record is not None
    assert record["reference"] == [0.0, 10.0]
    assert record["hypervolume"] == pytest.approx(2.0 * 6.0 + 1.0 * 1.0)
    box = (9.0 - 0.0) * (10.0 - 1.0)
    assert record["share"] == pytest.approx(13.0 / box)
    assert record["history"] == pytest.approx([0.0, 0.0, 12.0 / box, 13.0 / box, 13.0 / box, 13.0 / box])
    other = hypervolume_record(trials, BOTH, reference=(1.0, 8.0))
    assert other is not None
    assert other["hypervolume"] == pytest.approx(1.0 * 4.0)  # the trial of size 9 does not reach it
    assert hypervolume_record(trials[1:2], BOTH) is None
    only = hypervolume_record(trials[:1], BOTH, history=True)
    assert only == {"reference": [0.0, 8.0], "hypervolume": 0.0, "share": 0.0, "history": [0.0]}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.booleans()), min_size=1, max_size=20))
def test_hypervolume_never_falls_and_is_the_area_of_what_is_dominated(rows: list[tuple[int, int, bool]]) -> None:
    trials = [outcome(float(value), float(size), -1.0 if feasible else 1.0) for value, size, feasible in rows]
    record = hypervolume_record(trials, BOTH, reference=(-4.0, 4.0), history=True)
    assert record is not None
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(record["history"]))
    assert record["history"][-1] == pytest.approx(record["share"])
    cells = itertools.product(range(-4, 4), range(-4, 4))  # unit squares, by their corner of least value and size
    kept = [(value, size) for value, size, feasible in rows if feasible]
    area = sum(any(value >= v + 1 and size <= s for value, size in kept) for v, s in cells)
    assert record["hypervolume"] == pytest.approx(area)


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe", "gp", "random", "qmc", "grid"])
def test_every_sampler_but_cmaes_finds_a_front(tmp_path: Path, sampler: str) -> None:
    result = search(tmp_path, sampler, 16, objective={"constraints": [{"measure": "bytes", "at_most": 250.0}]})
    study = open_study(result.run_dir)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert numbers(result.front) == numbers(study.best_trials)
    # Bytes grow with gamma and the value does up to its true 1.6, so that every gamma beyond it is dominated.
    assert all(trial.user_attrs["feasible"] for trial in result.front)
    assert result.best["value"] == max(trial.values[0] for trial in result.trials if trial.user_attrs["feasible"])
    assert result.front[0].number == result.best["number"]
    for one, other in itertools.pairwise(result.front):
        assert one.values[0] >= other.values[0] and one.values[1] >= other.values[1]


def test_nsga2_follows_the_second_objective_too(tmp_path: Path) -> None:
    pipeline = {"name": "test.power", "search": {"gamma": {}, "lift": {}}}
    small = {}
    for name, pareto in (("both", BYTES), ("alone", [])):
        result = search(tmp_path, trials=100, out=name, pipeline=pipeline, objective={"pareto": pareto})
        # After four generations: the true gamma takes 160 bytes, which a search for the value alone settles at.
        small[name] = sum(trial.user_attrs["measures"]["bytes"] < 100 for trial in result.trials[52:])
        assert (len(result.front) >= 10) == bool(pareto)
    assert small["both"] > 1.5 * small["alone"]


def test_what_a_run_writes(tmp_path: Path) -> None:
    pipeline = {"name": "test.power", "search": {"gamma": {}}, "fixed": {"lift": 0.01}}
    result = search(tmp_path, trials=12, pipeline=pipeline)
    record = json.loads((result.run_dir / "pareto.json").read_text())
    assert [row["number"] for row in record["front"]] == [trial.number for trial in result.front]
    for row, trial in zip(record["front"], result.front, strict=True):
        assert row["value"] == value_of(trial) == trial.values[0]
        assert row["measures"]["bytes"] == trial.values[1]
        assert row["parameters"] == {"lift": 0.01, **trial.params}
    stored = json.loads((result.run_dir / "result.json").read_text())
    assert stored["best"]["value"] == result.best["value"] == record["front"][0]["value"]
    covered = record["hypervolume"]
    assert len(covered["history"]) == len(result.trials)
    assert covered["history"][-1] == covered["share"] > 0
    assert stored["hypervolume"] == covered["hypervolume"]
    assert covered["reference"] == [min(t.values[0] for t in result.trials), max(t.values[1] for t in result.trials)]


def test_a_stopped_search_goes_on_with_its_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = search(tmp_path, trials=20, out="whole")
    process, calls = Power.process, itertools.count(1)

    def stopping(self: Power, image: Any, gamma: Any, lift: Any) -> Any:
        if next(calls) > 2 * 15:
            raise KeyboardInterrupt
        return process(self, image, gamma, lift)

    with monkeypatch.context() as patch:
        patch.setattr(Power, "process", stopping)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, trials=20)
    assert json.loads((tmp_path / "run" / "pareto.json").read_text())["front"]
    resumed = search(tmp_path, trials=20, resume=True)
    assert [trial.values for trial in resumed.trials] == [trial.values for trial in whole.trials]
    assert [trial.params for trial in resumed.front] == [trial.params for trial in whole.front]
    with pytest.raises(UserError, match=r"objective\.pareto\[0\]\.goal: stored 'minimize', now 'maximize'"):
        search(tmp_path, resume=True, objective={"pareto": [{"measure": "bytes", "goal": "maximize"}]})


def test_what_cannot_follow_several_objectives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cmaes has one objective .* expected nsga2, tpe or gp"):
        search(tmp_path, "cmaes")
    with pytest.raises(UserError, match=r"search\.strategy: found gradient, which climbs one objective"):
        search(tmp_path, search={"strategy": "gradient"})
    with pytest.raises(UserError, match=r"found bytes twice, expected each measure once"):
        search(tmp_path, objective={"pareto": BYTES * 2})
    with pytest.raises(UserError, match=r"objective\.pareto: power reports no measure 'byte'.*did you mean 'bytes'"):
        search(tmp_path, objective={"pareto": [{"measure": "byte"}]})


def test_auto_takes_a_search_that_can(tmp_path: Path) -> None:
    assert make_recipe(tmp_path, search={}).search.strategy == "gradient"
    recipe = make_recipe(tmp_path, search={"trials": 8}, objective={"pareto": BYTES})
    assert (recipe.search.strategy, getattr(recipe.search, "trials", None)) == ("optuna", 8)


def test_without_a_feasible_trial_there_is_a_best_and_no_front(tmp_path: Path) -> None:
    result = search(tmp_path, "random", 6, objective={"constraints": [{"measure": "bytes", "at_most": 1.0}]})
    assert result.front == []
    assert result.best["parameters"]["gamma"] == min(trial.params["gamma"] for trial in result.trials)
    assert json.loads((result.run_dir / "pareto.json").read_text())["front"] == []
