"""The study's file: half lines, groups, copies; and who is alive."""

from __future__ import annotations

import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from pixelperfect_models.errors import UserError
from tuner import journal
from tuner.liveness import BEAT, WORKER, Heartbeats, LockFiles
from tuner.storage import open_store


def new_study(path: Path) -> optuna.Study:
    return optuna.create_study(storage=journal.storage(path), study_name="study")


def test_the_next_writer_cuts_off_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    study, other = new_study(path), None
    study.set_user_attr("a", 1)
    other = optuna.load_study(storage=journal.storage(path), study_name="study")
    whole = path.read_bytes()
    for torn in (b'{"op_code":2,"wor', b"x" * 100_000, b"{"):
        path.write_bytes(path.read_bytes() + torn)
        assert other.user_attrs["a"] >= 1  # a reader skips it
        study.set_user_attr("a", study.user_attrs["a"] + 1)
    assert path.read_bytes().startswith(whole)
    assert other.user_attrs == {"a": 4}
    assert optuna.load_study(storage=journal.storage(path), study_name="study").user_attrs == {"a": 4}


def test_a_file_without_one_whole_line_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    path.write_bytes(b'{"op_code":0,"wor')
    new_study(path)
    assert optuna.get_all_study_names(journal.storage(path)) == ["study"]


def test_a_group_is_written_with_the_state_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    storage = journal.storage(path)
    study = optuna.create_study(storage=storage, study_name="study")
    trial, dropped = study.ask(), study.ask()
    before = path.read_bytes().count(b"\n")
    with storage._backend.grouped():
        trial.set_user_attr("score", 1.0)
        trial.set_user_attr("seconds", 2.0)
        assert path.read_bytes().count(b"\n") == before
        study.tell(trial, 3.0)
    with storage._backend.grouped():
        dropped.set_user_attr("score", 1.0)
    again = optuna.load_study(storage=journal.storage(path), study_name="study")
    assert again.trials[0].user_attrs == {"score": 1.0, "seconds": 2.0}
    assert again.trials[0].value == 3.0
    assert (again.trials[1].state, again.trials[1].user_attrs) == (TrialState.RUNNING, {})


def test_a_copy_is_the_study_with_its_numbers(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.set_user_attr("recipe", {"a": [1]})
    for number in range(5):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        if number == 1:
            study.tell(trial, state=TrialState.FAIL)
        elif number < 4:
            study.tell(trial, [number, -number])
    for _ in range(2):  # the second replaces the first
        journal.copy(study, tmp_path / "study.log")
    copied = open_store(tmp_path).load()
    assert [(t.state, t.values, t.params) for t in copied.trials] == [
        (t.state, t.values, t.params) for t in study.trials
    ]
    assert (copied.user_attrs, copied.directions) == (study.user_attrs, study.directions)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.log"]


def running(number: int, worker: str | None, beat: int = 0) -> FrozenTrial:
    attributes = {BEAT: beat} if worker is None else {BEAT: beat, WORKER: worker}
    trial = create_trial(state=TrialState.RUNNING, system_attrs=attributes)
    trial.number = trial._trial_id = number
    return trial


def test_locks_tell_who_is_gone(tmp_path: Path) -> None:
    first, second = LockFiles(tmp_path), LockFiles(tmp_path)
    assert not first.lost(running(0, second.worker))
    first.begin(0)
    assert not first.lost(running(0, first.worker))
    assert first.lost(running(1, first.worker))  # left behind
    assert first.lost(running(0, "host:1:abcdef"))
    assert first.lost(running(0, None))
    second.close()
    assert first.lost(running(0, second.worker))
    first.close()
    assert not list(tmp_path.iterdir())


def test_a_beat_that_stands_still_is_lost_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[int] = []
    life = Heartbeats(lambda trial, number: beats.append(trial), grace=0.6)
    life.begin(7)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert not life.lost(running(1, "other", 1))
    now[0] += 0.5
    assert not life.lost(running(1, "other", 2))  # it lives
    now[0] += 0.5
    assert not life.lost(running(1, "other", 2))
    life.forget()  # the server was away
    now[0] += 0.5
    assert not life.lost(running(1, "other", 2))
    now[0] += 0.7
    assert life.lost(running(1, "other", 2))
    assert not life.lost(running(7, life.worker, 0))
    assert life.lost(running(2, life.worker, 0))  # left behind
    monkeypatch.undo()
    deadline = time.monotonic() + 30
    while len(beats) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert set(beats) == {7} and len(beats) >= 2
    life.end()
    life.close()


def test_the_grace_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNER_GRACE", "soon")
    with pytest.raises(UserError, match="TUNER_GRACE: found soon, expected seconds above 0"):
        Heartbeats(lambda trial, number: None)
