"""``kill -9`` at random moments: no finished trial lost, none left running, and exactly as many trials as asked for.

    python benchmarks/kill_test.py [--kills 10] [--seed 0] [--only single|workers|postgresql|proxy]

Four ways to run a search whose trials take 50 ms (a tiny pipeline, a judge without networks), each killed ``--kills``
times and started again as a user would:

- ``single``: one process, embedded study; it is killed.
- ``workers``: the run and two workers that joined its folder; one of the three is killed, whichever.
- ``postgresql``: a run and a worker on a PostgreSQL server; in turns the server's main process, the run and the worker
  are killed;
- ``proxy``: the same behind ``tuner storage-proxy``, which is killed in the server's stead.

Before each kill the finished trials are read; after it all of them must still be there, unchanged. When the kills are
over the search runs to its end. Processes are forked from this one, which has imported everything, so that most of the
time goes into trials and not into starting Python.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.postgres import Postgres, binaries
from tests.tuner.storage_proxy import StorageProxy
from tests.tuner.tiny_pipelines import make_recipe, register
from tuner import worker
from tuner.claims import INTERRUPTED, SLOT
from tuner.runner import run
from tuner.storage import Store, open_store

FORK = multiprocessing.get_context("fork")
STUDY = "killed"
GRACE = "5"
"""Seconds after which a worker of a server's study is taken for dead, so that the test need not wait a minute."""


class Search:
    """One search and its processes.

    Args:
        folder: an empty folder.
        url: of the server, or None: embedded.
        helpers: workers beside the run.
        trials: the budget.
        database: of a proxy at ``url``, the database behind it; it is read from this process, which must not speak gRPC
            since it forks.
    """

    def __init__(self, folder: Path, url: str | None, helpers: int, trials: int, database: str | None = None) -> None:
        self.folder, self.url, self.trials = folder, url, trials
        self.database = database or url
        self._reader: Store | None = None
        pipeline = {"name": "test.slow", "search": {"gamma": {}}}
        search = {"strategy": "optuna", "sampler": "tpe", "trials": trials, "seed": 1}
        self.recipe = make_recipe(folder, pipeline=pipeline, search=search)
        self.processes: list[Any] = [None] * (1 + helpers)

    def start(self) -> None:
        """Start every process that is not alive and has something to do."""
        for number, process in enumerate(self.processes):
            if process is None or (not process.is_alive() and process.exitcode != 0):
                target = self._run if number == 0 else self._help
                self.processes[number] = FORK.Process(target=_quietly, args=(target, self.folder / f"log-{number}"))
                self.processes[number].start()
                if number == 0:
                    self._wait_for_study()

    def kill(self, number: int) -> None:
        """``kill -9``."""
        process = self.processes[number]
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()

    def read(self) -> list[FrozenTrial]:
        """All trials, as anybody would read them."""
        return self._reading().load().get_trials(deepcopy=False)

    def kill_all(self) -> None:
        """None is left, so that nobody waits for one when this program ends early."""
        for number, process in enumerate(self.processes):
            if process is not None:
                self.kill(number)

    def finish(self) -> None:
        """Let it run to its end."""
        deadline = time.monotonic() + 300
        while any(process.is_alive() or process.exitcode != 0 for process in self.processes):
            self.start()
            time.sleep(0.2)
            if time.monotonic() > deadline:
                raise RuntimeError(f"not done in 5 minutes: {[p.exitcode for p in self.processes]}")

    def _open(self) -> Store:
        return open_store(self.folder / "run") if self.database is None else open_store(self.database, STUDY)

    def _reading(self) -> Store:
        """For this process alone, not for those forked from it: of a server's study always the same connections."""
        if self._reader is None or self.database is None:
            self._reader = self._open()
        return self._reader

    def _wait_for_study(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.processes[0].is_alive():
            with contextlib.suppress(UserError):
                if (self.url is not None or (self.folder / "run" / "study.log").exists()) and self._reading().exists():
                    return
            time.sleep(0.05)

    def _run(self) -> None:
        place: dict[str, Any] = {} if self.url is None else {"storage": self.url, "study_name": STUDY}
        there = (self.folder / "run" / "study.log").exists() if self.url is None else self._open().exists()
        run(self.recipe, self.folder / "run", resume=there, quiet=True, judge=FakeJudge(), **place)

    def _help(self) -> None:
        store = open_store(self.folder / "run") if self.url is None else open_store(self.url, STUDY)
        worker.work(store, judge=FakeJudge())


def _quietly(target: Callable[[], None], log: Path) -> None:
    torch.set_num_threads(1)
    with log.open("a") as stream:
        sys.stderr = sys.stdout = stream
        target()


def signature(trial: FrozenTrial) -> tuple[Any, ...]:
    """What must not change any more of a finished trial."""
    return (
        trial.number,
        trial.state,
        tuple(trial.values or ()),
        tuple(trial.params.items()),
        trial.user_attrs.get("score"),
    )


def check(name: str, search: Search, kills: int, chance: random.Random, disturb: Callable[[int], None]) -> bool:
    """Kill it so often, let it end, and print what became of it."""
    try:
        return _check(name, search, kills, chance, disturb)
    finally:
        search.kill_all()


def _check(name: str, search: Search, kills: int, chance: random.Random, disturb: Callable[[int], None]) -> bool:
    begun = time.monotonic()
    lost = 0
    done: set[tuple[Any, ...]] = set()
    for number in range(kills):
        search.start()
        time.sleep(chance.uniform(0.05, 2.0))
        done = {signature(trial) for trial in search.read() if trial.state.is_finished()}
        disturb(number)
        lost += len(done - {signature(trial) for trial in search.read()})
    search.finish()
    trials = search.read()
    lost += len(done - {signature(trial) for trial in trials})
    kinds = Counter(
        "interrupted" if t.user_attrs.get("reason") == INTERRUPTED else t.state.name.lower() for t in trials
    )
    slots = sorted(t.system_attrs[SLOT] for t in trials if t.state == TrialState.COMPLETE)
    exact = slots == list(range(search.trials)) and set(kinds) <= {"complete", "interrupted"}
    print(
        f"{name}\t{kills}\t{search.trials}\t{kinds['complete']}\t{lost}\t{kinds['running']}\t{kinds['interrupted']}\t"
        f"{'exact' if exact and not lost else 'WRONG: ' + str(dict(kinds))}\t{time.monotonic() - begun:.0f}",
        flush=True,
    )
    return exact and not lost


def _in_turns(server: Postgres | StorageProxy, shared: Search) -> Callable[[int], None]:
    """Kills the server and starts it again, kills the run, kills the worker."""

    def disturb(number: int) -> None:
        if number % 3 == 0:
            server.restart()
        else:
            shared.kill(number % 3 - 1)

    return disturb


def main() -> int:
    """Run the four and say whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="for each of them")
    parser.add_argument("--trials", type=int, default=0, help="budget; default 20 for each kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("single", "workers", "postgresql", "proxy"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    os.environ["TUNER_GRACE"] = GRACE
    register()
    chance = random.Random(options.seed)
    trials = options.trials or 20 * options.kills
    good = True
    print("what\tkills\tasked for\tcompleted\tlost\trunning\ttaken back\tcount\tseconds")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        root.chmod(0o755)  # the PostgreSQL server runs as another user
        if options.only in (None, "single"):
            search = Search(root / "single", None, 0, trials)
            good &= check("single", search, options.kills, chance, lambda number: search.kill(0))
        if options.only in (None, "workers"):
            several = Search(root / "workers", None, 2, trials)
            good &= check("workers", several, options.kills, chance, lambda number: several.kill(chance.randrange(3)))
        for name in ("postgresql", "proxy"):
            if options.only not in (None, name):
                continue
            if binaries() is None:
                print(f"{name}\tmissing: apt-get install postgresql")
                return 1
            (root / f"server of {name}").mkdir()
            with Postgres(root / f"server of {name}") as database, contextlib.ExitStack() as stack:
                server: Postgres | StorageProxy = database
                if name == "proxy":
                    server = stack.enter_context(StorageProxy(database.url, root))
                shared = Search(root / name, server.url, 1, trials, database.url)
                good &= check(name, shared, options.kills, chance, _in_turns(server, shared))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
