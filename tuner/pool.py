"""Workers of a run on this machine: how they are started, watched, and ended with the run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixelperfect_models.errors import PixelPerfectError, UserError
from tuner import interrupts

STORAGE_VARIABLE = "TUNER_STORAGE"
"""Environment variable that stands for the storage's URL, which may hold a password, on a worker's command line."""
_STOP_SECONDS = 15.0
_RESTARTS = 3
"""So often a worker of one's own that was killed is started again."""


class WorkersFailed(PixelPerfectError):
    """No worker is left, and the search is not done."""


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    log: Path
    restarts: int = 0


@dataclass
class Pool:
    """Workers of a run, on this machine: processes that end with this one, however it ends.

    Args:
        folder: the run's folder; what the workers say goes to ``worker-<number>.log`` there.
        where: the storage's URL, or the folder where the study is in it.
        study_name: the study's name there.
        count: how many workers.
    """

    folder: Path
    where: str
    study_name: str
    count: int
    _workers: list[_Process] = field(default_factory=list)

    def __enter__(self) -> Pool:
        for number in range(self.count):
            log = self.folder / f"worker-{number + 1}.log"
            self._workers.append(_Process(self._start(log), log))
        return self

    def __exit__(self, *reason: Any) -> None:
        with interrupts.shielded():
            self._stop()

    def working(self) -> bool:
        """True while a worker works. One that was killed is started again, a few times.

        Raises:
            WorkersFailed, UserError: the last one ended with an error; says which.
        """
        alive = []
        for worker in self._workers:
            code = worker.process.poll()
            if code is not None and code < 0 and worker.restarts < _RESTARTS:
                worker.process, worker.restarts, code = self._start(worker.log), worker.restarts + 1, None
            if code is None:
                alive.append(worker)
        if alive:
            return True
        for worker in self._workers:
            if worker.process.returncode != 0:
                lines = worker.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
                kind = UserError if worker.process.returncode == 2 else WorkersFailed
                raise kind(f"no worker is left; {worker.log}: {lines[-1]}")
        return False

    def _start(self, log: Path) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // self.count)))
        environment[STORAGE_VARIABLE] = self.where
        with log.open("ab") as stream:
            return subprocess.Popen(
                [*command(), "--study", self.study_name, "--tied"],
                stdin=subprocess.PIPE,  # closed by the system when this process dies, which tells the worker
                stdout=stream,
                stderr=stream,
                env=environment,
            )

    def _stop(self) -> None:
        for worker in self._workers:
            assert worker.process.stdin is not None
            worker.process.stdin.close()
        for worker in self._workers:
            try:
                worker.process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            if worker.log.is_file() and worker.log.stat().st_size == 0:
                worker.log.unlink()


def command() -> Sequence[str]:
    """A worker's command line, less its options."""
    return [sys.executable, "-m", "tuner", "worker"]
