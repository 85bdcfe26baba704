"""The record of trials: what is written, what counts, what is best, and what is mended after a kill."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from pixelperfect_models.errors import UserError
from tuner.claims import MOST_DEATHS, SLOT
from tuner.evaluation import Evaluation, PictureValue
from tuner.study import INTERRUPTED, STUDY_FILE, RunStudy, best_trial, open_study, recipe_differences, trial_record

SPACE = {"x": FloatDistribution(0.0, 1.0)}
RECIPE = {"pipeline": {"name": "a", "search": {"x": {"low": 0.0}}}, "search": {"trials": 5}, "images": {"input": ["p"]}}


def evaluation(value: float = 1.0, violation: float = -0.5) -> Evaluation:
    return Evaluation(
        value=value,
        score=value + 0.25,
        penalties={"blur/mean/all": 0.25},
        statistics={"blur": {"mean": 0.1, "p95": 0.2, "max": 0.3}},
        measures={"seconds": 0.01},
        constraints={"seconds<=1": violation},
        seconds=0.02,
        pictures=(PictureValue("p", value, value + 0.25),),
    )


def trial_of(value: float, violation: float = 0.0) -> FrozenTrial:
    return create_trial(params={"x": 0.5}, distributions=SPACE, value=value, constraints={"c": violation})


def asked(study: RunStudy) -> object:
    return study.ask(RandomSampler(seed=0), dict(SPACE))


def test_a_trial_comes_back_as_it_was_recorded(tmp_path: Path) -> None:
    study = RunStudy.create(tmp_path, RECIPE)
    seen: list[FrozenTrial] = []
    study.on_record = seen.append
    study.enqueue_defaults({"x": 0.5})
    study.complete(asked(study), evaluation(1.0))  # type: ignore[arg-type]
    study.fail(asked(study), "no memory")  # type: ignore[arg-type]
    study.add({"x": 0.2}, dict(SPACE), evaluation(2.0, 0.5), datetime.datetime.now(), {"role": "search", "step": 4})
    study.add({"x": 0.3}, dict(SPACE), "returned NaN", datetime.datetime.now(), {"role": "search", "step": 5})
    study.close()

    trials = open_study(tmp_path).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "FAIL"]
    assert [trial.number for trial in seen] == [0, 1, 2, 3]
    record = trial_record(trials[0], {"fixed": 7})
    assert record == {
        "number": 0,
        "state": "COMPLETE",
        "value": 1.0,
        "parameters": {"fixed": 7, "x": 0.5},
        "constraints": {"seconds<=1": -0.5},
        "role": "defaults",
        "score": 1.25,
        "penalties": {"blur/mean/all": 0.25},
        "statistics": {"blur": {"mean": 0.1, "p95": 0.2, "max": 0.3}},
        "measures": {"seconds": 0.01},
        "seconds": 0.02,
        "pictures": [{"name": "p", "value": 1.0, "score": 1.25, "amounts": {}, "signed": {}}],
        "feasible": True,
    }
    json.dumps(record, allow_nan=False)
    assert trials[1].user_attrs == {"role": "search", "reason": "no memory"}
    assert trials[2].user_attrs["feasible"] is False
    assert trials[2].constraints == {"seconds<=1": 0.5}
    assert trial_record(trials[3], {})["value"] is None


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-1, 1)), min_size=1, max_size=12))
def test_best_is_the_best_feasible_or_else_the_least_violating(outcomes: list[tuple[float, float]]) -> None:
    best = best_trial([trial_of(value, violation) for value, violation in outcomes])
    assert best is not None
    feasible = [value for value, violation in outcomes if violation <= 0]
    if feasible:
        assert best.value == max(feasible)
        assert best.constraints["c"] <= 0
    else:
        assert best.constraints["c"] == min(violation for _, violation in outcomes)


def test_best_of_none_and_of_equals() -> None:
    assert best_trial([]) is None
    assert best_trial([create_trial(state=TrialState.FAIL)]) is None
    first, second = trial_of(1.0), trial_of(1.0)
    assert best_trial([first, second]) is first


class TestResume:
    def test_continues_with_what_is_there(self, tmp_path: Path) -> None:
        study = RunStudy.create(tmp_path, RECIPE)
        study.complete(asked(study), evaluation(3.0))  # type: ignore[arg-type]
        study.close()
        resumed = RunStudy.resume(tmp_path, {**RECIPE, "search": {"trials": 50}, "name": "renamed"})
        assert len(resumed.counted) == 1
        assert resumed.best is not None
        assert resumed.best.value == 3.0

    def test_a_trial_cut_short_does_not_count_and_is_evaluated_again(self, tmp_path: Path) -> None:
        study = RunStudy.create(tmp_path, RECIPE)
        study.enqueue_defaults({"x": 0.25})
        study.complete(asked(study), evaluation())  # type: ignore[arg-type]
        cut = asked(study)
        study.close()  # as if killed
        resumed = RunStudy.resume(tmp_path, RECIPE)
        dead = resumed.study.trials[1]
        assert (dead.state, dead.user_attrs["reason"]) == (TrialState.FAIL, INTERRUPTED)
        assert [trial.number for trial in resumed.counted] == [0]
        again = resumed.ask(RandomSampler(seed=7), dict(SPACE))
        assert again is not None
        assert again.params == cut.params  # type: ignore[attr-defined]
        recorded = resumed.complete(again, evaluation())
        assert [trial.number for trial in resumed.counted] == [0, recorded.number]

    def test_the_defaults_cut_short_are_the_defaults_again(self, tmp_path: Path) -> None:
        study = RunStudy.create(tmp_path, RECIPE)
        study.enqueue_defaults({"x": 0.25})
        asked(study)
        study.interrupt()
        study.close()
        resumed = RunStudy.resume(tmp_path, RECIPE)
        resumed.enqueue_defaults({"x": 0.25})
        again = asked(resumed)
        assert again.params == {"x": 0.25}  # type: ignore[attr-defined]
        assert resumed.complete(again, evaluation()).user_attrs["role"] == "defaults"  # type: ignore[arg-type]
        assert resumed.start is not None

    def test_parameters_that_kill_their_process_again_and_again_fail_in_the_end(self, tmp_path: Path) -> None:
        RunStudy.create(tmp_path, RECIPE).close()
        for _ in range(MOST_DEATHS):
            study = RunStudy.resume(tmp_path, RECIPE)
            asked(study)
            study.close()
        study = RunStudy.resume(tmp_path, RECIPE)
        deadly = study.study.trials[-1].params
        following = asked(study)
        assert [(t.state, t.user_attrs["reason"]) for t in study.counted] == [
            (TrialState.FAIL, f"the process that evaluates it died {MOST_DEATHS} times")
        ]
        assert study.counted[0].params == deadly
        assert study.study.trials[following.number].system_attrs[SLOT] == 1  # type: ignore[attr-defined]

    @pytest.mark.parametrize("keep", range(1, 60, 7))
    def test_a_line_cut_off_anywhere_loses_no_finished_trial(self, tmp_path: Path, keep: int) -> None:
        study = RunStudy.create(tmp_path, RECIPE)
        study.complete(asked(study), evaluation(3.0))  # type: ignore[arg-type]
        whole = (tmp_path / STUDY_FILE).read_bytes()
        study.complete(asked(study), evaluation(4.0))  # type: ignore[arg-type]
        study.close()
        data = (tmp_path / STUDY_FILE).read_bytes()
        (tmp_path / STUDY_FILE).write_bytes(data[: len(whole) + keep])
        resumed = RunStudy.resume(tmp_path, RECIPE)
        assert [trial.value for trial in resumed.counted] == [3.0]
        resumed.complete(asked(resumed), evaluation(5.0))  # type: ignore[arg-type]
        resumed.close()
        values = [t.value for t in open_study(tmp_path).trials if t.state == TrialState.COMPLETE]
        assert values == [3.0, 5.0]

    def test_killed_before_the_study_was_made(self, tmp_path: Path) -> None:
        (tmp_path / STUDY_FILE).touch()
        assert RunStudy.resume(tmp_path, RECIPE).counted == []

    def test_another_recipe_is_refused_with_what_differs(self, tmp_path: Path) -> None:
        RunStudy.create(tmp_path, RECIPE).close()
        other = {**RECIPE, "pipeline": {"name": "b", "search": {"x": {"low": 0.0}}}, "objective": {"weight": 2}}
        expected = r"another recipe: pipeline\.name: stored 'a', now 'b'; objective\.weight: stored nothing, now 2"
        with pytest.raises(UserError, match=expected):
            RunStudy.resume(tmp_path, other)
        RunStudy.resume(tmp_path, RECIPE)  # and the file was let go of

    def test_two_runs_cannot_share_a_folder(self, tmp_path: Path) -> None:
        study = RunStudy.create(tmp_path, RECIPE)
        with pytest.raises(UserError, match="another run is using this folder"):
            RunStudy.resume(tmp_path, RECIPE)
        study.close()

    def test_another_version_or_picture_is_refused_by_name(self, tmp_path: Path) -> None:
        study = RunStudy.create(tmp_path, RECIPE)
        study.match({"judge": "PixelPerfect 12", "input p": "34"})
        study.match({"judge": "PixelPerfect 12", "input p": "34"})
        with pytest.raises(UserError, match="another version or pictures: input p: stored 34, now 56"):
            study.match({"judge": "PixelPerfect 12", "input p": "56"})

    def test_nothing_to_resume(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"no study\.log to resume"):
            RunStudy.resume(tmp_path, RECIPE)
        with pytest.raises(UserError, match="not a run folder"):
            open_study(tmp_path)


def test_differences_name_every_key_but_the_free_ones() -> None:
    other = {**RECIPE, "search": {"trials": 9, "seed": 1}, "images": {"input": ["p", "q"]}, "description": "x"}
    assert recipe_differences(RECIPE, other) == [
        "search.seed: stored nothing, now 1",
        "images.input[1]: stored nothing, now 'q'",
    ]
    assert recipe_differences(RECIPE, RECIPE) == []
