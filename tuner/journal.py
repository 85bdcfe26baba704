"""The file behind a study: Optuna's journal, held by one run at a time, mended after a kill, and quick to write."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileSymlinkLock

from pixelperfect_models.errors import UserError

_STALE_LOCKS = ".lock*"


class RunJournal(BaseJournalBackend):  # type: ignore[misc]  # Optuna is read as untyped
    """Optuna's journal file, synced to the disk only when a trial begins to wait or ends.

    Optuna's own backend syncs every attribute of every trial: a dozen times a trial, about 3 ms each, more than a
    small picture takes to judge. A killed process loses nothing either way, since what is written is with the
    system; after a power cut the trial under way may be gone, never a finished one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = JournalFileSymlinkLock(str(path))
        self._file = JournalFileBackend(str(path), lock_obj=self._lock)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """As Optuna reads them."""
        return self._file.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append whole lines, one for each log."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._lock.acquire()
        try:
            with self._path.open("ab") as stream:
                stream.write(text.encode("utf-8"))
                stream.flush()
                if any("state" in log for log in logs):
                    os.fsync(stream.fileno())
        finally:
            self._lock.release()


def storage(path: Path) -> JournalStorage:
    """The Optuna storage in this file; made when there is none."""
    return JournalStorage(RunJournal(path))


def hold(path: Path) -> BinaryIO:
    """Hold the file for one run, until the stream returned is closed or the process dies, however it dies.

    Raises:
        UserError: another process holds it.
    """
    stream = path.open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise UserError(f"{path.parent}: another run is using this folder; wait for it or choose another") from None
    return stream


def mend(path: Path) -> None:
    """Undo what a kill in the middle of a write left behind. Only for who holds the file.

    A line without its end is cut off, or the next one would be appended to it and both be lost. Optuna's own lock,
    which nobody can be holding now, is removed; otherwise the first write would wait half a minute for it.
    """
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    for stale in path.parent.glob(path.name + _STALE_LOCKS):
        stale.unlink(missing_ok=True)
