"""Whether the process that evaluates a trial is still there: what a study's workers know of one another.

Optuna's own heartbeats would not do: they beat within ``Study.optimize`` only, take a trial whose process died before
its first beat for alive for ever, and are missing from the journal and from the gRPC proxy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from optuna.trial import FrozenTrial

from pixelperfect_models.errors import UserError

WORKER = "tuner:worker"
"""Key of a trial's ``system_attrs``: who evaluates it."""
BEAT = "tuner:beat"
"""Key of a trial's ``system_attrs``: a number that its worker changes while it lives."""
GRACE, GRACE_VARIABLE = 60.0, "TUNER_GRACE"
"""Seconds without a change after which a trial is lost, on the clock of who looks; and the environment variable that
sets others. Workers of one study should agree."""
_BEATS = 6
"""Beats within the grace."""
WORKERS_FOLDER = "workers"


class Liveness(Protocol):
    """One worker's own sign of life and its view of the others. Close it when the worker ends."""

    worker: str
    """This worker's name: host, process and a few random digits."""

    def begin(self, trial_id: int) -> None:
        """This worker evaluates this trial from now on."""

    def end(self) -> None:
        """It does no longer."""

    def lost(self, trial: FrozenTrial) -> bool:
        """True when the process that began this running trial is gone for certain."""

    def forget(self) -> None:
        """The storage was out of reach, for all workers perhaps: what was not seen meanwhile says nothing."""

    def close(self) -> None:
        """The worker ends."""


def worker_name() -> str:
    """A name for this process that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"


class LockFiles:
    """For a study in a folder: each worker holds a lock on its own file, which the system lets go when it dies."""

    def __init__(self, folder: Path) -> None:
        self.worker = worker_name()
        self._folder = folder / WORKERS_FOLDER
        self._folder.mkdir(exist_ok=True)
        self._lock: BinaryIO = self._path(self.worker).open("ab")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._trial: int | None = None

    def begin(self, trial_id: int) -> None:
        """Note which trial is this worker's; the lock is held all along."""
        self._trial = trial_id

    def end(self) -> None:
        """It has none."""
        self._trial = None

    def lost(self, trial: FrozenTrial) -> bool:
        """True when nobody holds the lock of the trial's worker, and for one of this worker's that it left behind."""
        worker = trial.system_attrs.get(WORKER)
        if worker == self.worker:
            return trial._trial_id != self._trial
        if worker is None:  # a trial that no worker of this program began
            return True
        try:
            with self._path(worker).open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        self._path(worker).unlink(missing_ok=True)
        return True

    def forget(self) -> None:
        """Locks are always in reach."""

    def close(self) -> None:
        """Let the lock go and tidy up."""
        self._path(self.worker).unlink(missing_ok=True)
        self._lock.close()
        with contextlib.suppress(OSError):  # others are at work
            self._folder.rmdir()

    def _path(self, worker: str) -> Path:
        return self._folder / worker.replace(":", "-")


class Heartbeats:
    """For a study on a server: each worker changes a number of its trial every few seconds.

    Nobody's clock is compared with another's: a trial is lost when whoever looks has seen no change for
    :data:`GRACE` seconds.

    Args:
        beat: writes the number: (trial id, number). It may raise: the next beat tries again.
        grace: seconds; default: :data:`GRACE`, or what the environment says.

    Raises:
        UserError: the environment says no number above 0.
    """

    def __init__(self, beat: Callable[[int, int], Any], grace: float | None = None) -> None:
        self.worker = worker_name()
        self._beat = beat
        self._grace = _grace() if grace is None else grace
        self._interval = self._grace / _BEATS
        self._seen: dict[int, tuple[Any, float]] = {}
        self._trial: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def begin(self, trial_id: int) -> None:
        """Beat for this trial."""
        self._trial = trial_id

    def end(self) -> None:
        """Beat no longer."""
        self._trial = None

    def lost(self, trial: FrozenTrial) -> bool:
        """True when its beat has stood still for the whole grace, and for one of this worker's that it left behind.

        A trial is left behind when the server goes away after it was written and before this worker has read that.
        """
        if trial.system_attrs.get(WORKER) == self.worker:
            return trial._trial_id != self._trial
        now = time.monotonic()
        beat = trial.system_attrs.get(BEAT)
        seen, since = self._seen.get(trial.number, (None, now))
        if trial.number not in self._seen or seen != beat:
            self._seen[trial.number] = (beat, now)
            return False
        return now - since >= self._grace

    def forget(self) -> None:
        """Begin to watch anew."""
        self._seen.clear()

    def close(self) -> None:
        """Stop beating."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(self._interval):
            trial = self._trial
            if trial is None:
                continue
            number += 1
            try:
                self._beat(trial, number)
            except Exception:  # the trial ended this moment, or the server is away: the next beat will tell
                continue


def _grace() -> float:
    text = os.environ.get(GRACE_VARIABLE, str(GRACE))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < float("inf"):
        raise UserError(f"{GRACE_VARIABLE}: found {text}, expected seconds above 0")
    return seconds
