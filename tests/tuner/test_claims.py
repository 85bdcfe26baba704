"""Several workers on one study: no slot twice, none left out, whoever dies."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from tests.tuner.test_study import RECIPE, evaluation
from tuner.claims import INTERRUPTED, SLOT
from tuner.storage import Store, open_store
from tuner.study import RunStudy

SPACE = {"x": FloatDistribution(0.0, 1.0)}


def store(where: Path, kind: str) -> Store:
    return open_store(where) if kind == "folder" else open_store(f"sqlite:///{where}/study.db", "s")


def ask(worker: RunStudy, budget: int) -> Trial | None:
    return worker.ask(lambda slot: RandomSampler(seed=slot), dict(SPACE), budget)


@pytest.mark.parametrize(("kind", "budget"), [("folder", 12), ("sqlite", 6)])
def test_workers_share_the_budget_and_make_the_trials_that_one_would(tmp_path: Path, kind: str, budget: int) -> None:
    workers = [RunStudy.create(store(tmp_path, kind), RECIPE), *(RunStudy(store(tmp_path, kind)) for _ in range(2))]
    chosen = random.Random(1)
    under_way: dict[int, Trial] = {}
    while any(len(worker.counted) < budget for worker in workers):
        number = chosen.randrange(3)
        if number in under_way:
            workers[number].complete(under_way.pop(number), evaluation(float(number)))
            continue
        trial = ask(workers[number], budget)
        if trial is not None:
            under_way[number] = trial
    assert not under_way
    assert [ask(worker, budget) for worker in workers] == [None, None, None]
    trials = workers[0].study.trials
    assert len(trials) == budget  # none was made in vain
    by_slot = sorted(trials, key=lambda trial: trial.system_attrs[SLOT])
    assert [trial.system_attrs[SLOT] for trial in by_slot] == list(range(budget))
    (tmp_path / "alone").mkdir()
    alone = RunStudy.create(tmp_path / "alone", RECIPE)
    while (trial := ask(alone, budget)) is not None:
        alone.complete(trial, evaluation())
    assert [trial.params for trial in by_slot] == [trial.params for trial in alone.study.trials]


def test_a_worker_that_waits_gets_the_trial_of_one_that_died(tmp_path: Path) -> None:
    first, second = RunStudy.create(open_store(tmp_path), RECIPE), RunStudy(open_store(tmp_path))
    trial = ask(first, 1)
    assert trial is not None
    assert ask(second, 1) is None  # the only slot is held by a worker that lives
    first.close()
    again = ask(second, 1)
    assert again is not None
    assert again.params == trial.params
    second.complete(again, evaluation())
    assert len(second.counted) == 1


def test_an_evaluation_that_comes_after_the_trial_was_taken_back_is_dropped(tmp_path: Path) -> None:
    first, second = RunStudy.create(open_store(tmp_path), RECIPE), RunStudy(open_store(tmp_path))
    late = ask(first, 1)
    assert late is not None
    second.sync()
    second._take_back(late._trial_id, lost=True)
    again = ask(second, 1)
    assert again is not None
    recorded = first.complete(late, evaluation(9.0))
    assert (recorded.state, recorded.user_attrs["reason"]) == (TrialState.FAIL, INTERRUPTED)
    assert first.counted == []
    second.complete(again, evaluation(2.0))
    first.sync()
    assert [trial.value for trial in first.counted] == [2.0]
    assert ask(first, 1) is None


@pytest.mark.parametrize("seed", range(4))
def test_claims_that_cross_never_share_a_slot(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers that look before either has written: the worst order of a claim's steps."""
    first = RunStudy.create(open_store(tmp_path), RECIPE)
    second = RunStudy(open_store(tmp_path))
    third = RunStudy(open_store(tmp_path))
    storage = first.store.storage
    create = storage.create_new_trial
    trials: list[Trial | None] = []

    def late(study_id: int, template: object) -> int:
        monkeypatch.setattr(storage, "create_new_trial", create)
        # The others claim between the look and the write of the first, in an order drawn by the seed.
        others = [second, third]
        random.Random(seed).shuffle(others)
        trials.extend(ask(worker, 3) for worker in others)
        return create(study_id, template)

    monkeypatch.setattr(storage, "create_new_trial", late)
    trials.append(ask(first, 3))
    slots = [first.study.trials[trial.number].system_attrs[SLOT] for trial in trials if trial is not None]
    assert sorted(slots) == [0, 1, 2]


def test_one_worker_too_many_takes_its_trial_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = RunStudy.create(open_store(tmp_path), RECIPE), RunStudy(open_store(tmp_path))
    storage = first.store.storage
    create = storage.create_new_trial

    def late(study_id: int, template: object) -> int:
        monkeypatch.setattr(storage, "create_new_trial", create)
        assert ask(second, 1) is not None
        return create(study_id, template)

    monkeypatch.setattr(storage, "create_new_trial", late)
    assert ask(first, 1) is None
    states = [(trial.state, trial.user_attrs.get("reason")) for trial in first.study.trials]
    assert states == [(TrialState.RUNNING, None), (TrialState.FAIL, INTERRUPTED)]
