"""The file behind an embedded study: Optuna's journal, shared by the processes of one machine, quick and kill-proof."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial, TrialState

from pixelperfect_models.errors import UserError

STUDY_FILE, STUDY_NAME = "study.log", "study"
LOCK_SUFFIX = ".lock"
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class _NoLock:
    """For Optuna's backend, which is only read from here: this module locks its writes itself."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class RunJournal(BaseJournalBackend):  # type: ignore[misc]  # Optuna is read as untyped
    """Optuna's journal file with another lock, groups of lines written as one, and fewer syncs.

    - Optuna locks by a symbolic link, which a killed process leaves behind: the others then wait half a minute for
      it. The system gives back a ``flock`` when its process dies, however it dies.
    - A process killed while it writes may leave half a line. Who writes next cuts it off; readers skip it until then.
    - Optuna syncs every attribute of every trial to the disk: a dozen times a trial, about 3 ms each. Here that is
      done when a trial ends. A killed process loses nothing either way, since what is written is with
      the system; after a power cut the trial under way may be gone, never a finished one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = JournalFileBackend(str(path), lock_obj=_NoLock())
        self._waiting: list[dict[str, Any]] | None = None
        self._all = True
        self.synced = True

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """As Optuna reads them."""
        return self._file.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append whole lines, one for each log; some wait within :meth:`grouped` and :meth:`gathered`."""
        if self._waiting is not None:
            waits = "state" not in logs[0] if self._all else logs[0]["op_code"] == JournalOperation.SET_TRIAL_PARAM
            if waits:
                self._waiting += logs
                return
            logs = [*self._waiting, *logs]
            self._waiting = []
        self._write(logs)

    @contextmanager
    def grouped(self) -> Iterator[None]:
        """Within, attributes are written together with the next change of a trial's state: all of it or nothing.

        They are not seen, by this process either, until then. Those that no change of state follows are dropped.
        """
        self._waiting, self._all = [], True
        try:
            yield
        finally:
            self._waiting = None

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Within, parameters are written together with whatever comes after them, at the latest at the end."""
        self._waiting, self._all = [], False
        try:
            yield
        finally:
            rest, self._waiting = self._waiting, None
            if rest:
                self._write(rest)

    def _write(self, logs: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._locked(), self._path.open("r+b") as stream:
            stream.seek(_whole_lines(stream))
            stream.write(text.encode("utf-8"))
            stream.flush()
            if self.synced and any(log.get("state") in _FINISHED for log in logs):
                os.fsync(stream.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with Path(f"{self._path}{LOCK_SUFFIX}").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Trials(Sequence[FrozenTrial]):
    """A study's trials as a replayed journal holds them, looked up one by one."""

    def __init__(self, ids: Sequence[int], trials: dict[int, FrozenTrial]) -> None:
        self._ids, self._trials = ids, trials

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: Any) -> Any:
        ids = self._ids[number]
        return [self._trials[each] for each in ids] if isinstance(number, slice) else self._trials[ids]


class RunStorage(JournalStorage):  # type: ignore[misc]  # Optuna is read as untyped
    """Optuna's storage of a :class:`RunJournal`, which also says what is new without listing what is not."""

    def trials(self, study_id: int) -> Sequence[FrozenTrial]:
        """All trials by number, up to date until the next call: a view, while ``get_all_trials`` makes a list, which
        takes 1.5 ms of 2000 trials, three times a trial.
        """
        with self._thread_lock:
            self._sync_with_backend()
            replayed = self._replay_result
            return _Trials(replayed._study_id_to_trial_ids[study_id], replayed._trials)


def storage(path: Path) -> RunStorage:
    """The Optuna storage in this file; made when there is none. Its ``_backend`` is a :class:`RunJournal`."""
    return RunStorage(RunJournal(path))


def copy(study: optuna.Study, path: Path) -> None:
    """Write all of a study, from whatever storage, into a journal of its own, in place of an older copy."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    journal = RunJournal(beside)
    target = optuna.create_study(
        storage=JournalStorage(journal), study_name=STUDY_NAME, directions=[d.name.lower() for d in study.directions]
    )
    for key, value in study.user_attrs.items():
        target.set_user_attr(key, value)
    journal.synced = False
    for trial in study.get_trials(deepcopy=False):
        target.add_trial(trial)
    beside.replace(path)
    Path(f"{beside}{LOCK_SUFFIX}").unlink(missing_ok=True)


def hold(path: Path) -> BinaryIO:
    """Hold the file as the run that owns it, until the stream returned is closed or the process dies.

    Workers need not hold it: they join the owner's study.

    Raises:
        UserError: another process holds it.
    """
    stream = path.open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise UserError(
            f"{path.parent}: another run is using this folder; wait for it, choose another, or help it with "
            f"tuner worker {path.parent}"
        ) from None
    return stream


def _whole_lines(stream: BinaryIO) -> int:
    """Where the last whole line ends; what a killed writer left of another behind it is cut off."""
    end = stream.seek(0, os.SEEK_END)
    tail, wanted = b"", 1
    while b"\n" not in tail and len(tail) < end:
        stream.seek(max(0, end - wanted))
        tail, wanted = stream.read(), 64 * wanted
    whole = end - len(tail) + tail.rfind(b"\n") + 1
    if whole < end:
        stream.truncate(whole)
    return whole
