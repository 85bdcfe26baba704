"""Workers as processes: they share a run, die at any moment, and end with it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from optuna.trial import FrozenTrial, TrialState

import tuner.pool
from pixelperfect_models.errors import UserError
from tests.needs import need
from tests.tuner.command import ROOT, environment
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.mysql import MySql
from tests.tuner.mysql import missing as mysql_missing
from tests.tuner.postgres import Postgres, binaries
from tests.tuner.storage_proxy import StorageProxy
from tests.tuner.tiny_pipelines import make_recipe, register
from tuner.claims import INTERRUPTED, SLOT
from tuner.cli import main
from tuner.liveness import WORKER as WORKER_KEY
from tuner.moved import moved
from tuner.recipe import Recipe
from tuner.results import Result
from tuner.runner import run
from tuner.storage import open_store, without_password
from tuner.study import open_study
from tuner.worker import work

# As `tuner worker`, with a judge that costs nothing.
WORKER = """
import os, sys
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import register
from tuner.storage import open_store
from tuner.worker import end_with_parent, work
register()
if "--tied" in sys.argv:
    end_with_parent()
try:
    evaluated = work(open_store(os.environ["TUNER_STORAGE"], sys.argv[2]), judge=FakeJudge())
    if "--tied" not in sys.argv:
        print(evaluated)
except KeyboardInterrupt:
    sys.exit(130)
"""
SLOW = {"name": "test.slow", "search": {"gamma": {}}}


def search(trials: int, sampler: str = "random") -> dict[str, Any]:
    return {"strategy": "optuna", "sampler": sampler, "trials": trials, "seed": 5}


def start_worker(where: str, study: str = "study") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, "--study", study],
        cwd=ROOT,
        env=environment(TUNER_STORAGE=where),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setattr(tuner.pool, "command", lambda: [sys.executable, "-c", WORKER])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def outcomes(trials: list[FrozenTrial]) -> Counter[tuple[TrialState, str | None]]:
    return Counter((trial.state, trial.user_attrs.get("reason")) for trial in trials)


def by_slot(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert sorted(trial.system_attrs[SLOT] for trial in done) == list(range(len(done)))
    return [trial.params for trial in sorted(done, key=lambda trial: trial.system_attrs[SLOT])]


@pytest.mark.slow
def test_two_workers_one_of_them_killed_make_the_trials_that_one_would(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, pipeline=SLOW, search=search(60))
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            time.sleep(0.05)
            try:
                trials = open_study(tmp_path / "run").get_trials(deepcopy=False)
            except UserError:
                continue
            running = [trial for trial in trials if trial.state == TrialState.RUNNING]
            workers = {trial.system_attrs["tuner:worker"] for trial in trials}
            if len(workers) == 2 and running:
                killed.append(int(running[0].system_attrs["tuner:worker"].split(":")[1]))
                os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = run(recipe, tmp_path / "run", quiet=True, judge=FakeJudge(), workers=2)
    killer.join()
    assert killed
    trials = open_study(tmp_path / "run").trials
    assert len(result.trials) == 60
    assert outcomes(trials)[TrialState.COMPLETE, None] == 60
    assert set(outcomes(trials)) <= {(TrialState.COMPLETE, None), (TrialState.FAIL, INTERRUPTED)}
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (record["trials"], record["interrupted"]) == (60, False)
    assert record["trials_per_second"] == pytest.approx(60 / record["seconds"])
    assert not list((tmp_path / "run").glob("worker*"))  # nobody had anything to say, and all have gone
    alone = run(recipe, tmp_path / "alone", quiet=True, judge=FakeJudge())
    assert by_slot(trials) == by_slot(alone.trials)


@pytest.mark.slow
def test_workers_end_with_the_run_that_started_them(tmp_path: Path) -> None:
    make_recipe(tmp_path, pipeline=SLOW, search=search(2000))
    script = f"""
import sys
from pathlib import Path
import tuner.pool
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import make_recipe, register
from tuner.runner import run
register()
tuner.pool.command = lambda: [sys.executable, "-c", {WORKER!r}]
folder = Path(sys.argv[1])
recipe = make_recipe(folder, pipeline={SLOW!r}, search={search(2000)!r})
run(recipe, folder / "run", quiet=True, judge=FakeJudge(), workers=2)
"""
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, env=environment())
    try:
        workers: set[int] = set()
        deadline = time.monotonic() + 120
        while len(workers) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
            assert parent.poll() is None
            if (tmp_path / "run" / "study.log").is_file() and open_store(tmp_path / "run").exists():
                trials = open_study(tmp_path / "run").trials
                workers = {int(trial.system_attrs["tuner:worker"].split(":")[1]) for trial in trials}
        assert len(workers) == 2
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{number}").exists() for number in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    trials = open_study(tmp_path / "run").trials
    assert not any(Path(f"/proc/{number}").exists() for number in workers)
    assert not [trial for trial in trials if trial.state == TrialState.RUNNING]
    done = sum(trial.state == TrialState.COMPLETE for trial in trials)
    recipe = make_recipe(tmp_path, pipeline=SLOW, search=search(done + 5))
    assert len(run(recipe, tmp_path / "run", resume=True, quiet=True, judge=FakeJudge()).trials) == done + 5


def test_a_worker_needs_the_study_alone_and_its_pictures_wherever_they_lie(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    recipe = make_recipe(tmp_path, search={**search(6), "timeout": 1e-6})
    with pytest.raises(Exception, match="there was no time for one"):
        run(recipe, tmp_path / "run", quiet=True, judge=FakeJudge(), storage=url, study_name="s")
    store = open_store(url, "s")
    store.load().set_user_attr("recipe", make_recipe(tmp_path, search=search(6)).resolved())
    (tmp_path / "elsewhere").mkdir()
    for name in ("in", "ref"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    with pytest.raises(UserError, match="no such file"):
        work(store, judge=FakeJudge())
    with pytest.raises(UserError, match="no file of the study lies in /nowhere"):
        work(store, {"/nowhere": "/here"}, judge=FakeJudge())
    assert work(store, str(tmp_path / "elsewhere"), limit=2, judge=FakeJudge()) == 2
    assert work(store, {str(tmp_path): str(tmp_path / "elsewhere")}, judge=FakeJudge()) == 4
    assert work(store, str(tmp_path / "elsewhere"), judge=FakeJudge()) == 0
    (tmp_path / "elsewhere" / "in" / "p1.png").write_bytes((tmp_path / "elsewhere" / "ref" / "p1.png").read_bytes())
    with pytest.raises(UserError, match="another version or pictures: input p1: stored"):
        work(store, str(tmp_path / "elsewhere"), judge=FakeJudge())


def test_moved_paths() -> None:
    recipe = {
        "images": {"input": ["/a/x/1.png", "/a/x/2.png"], "reference": ["/a/y/1.png", "/a/y/2.png"]},
        "objective": {"penalties": [{"region": "/a/m.png"}, {"region": "edges"}]},
        "judge": {"weights": "/ab/w"},
    }
    there = moved(recipe, "/b")
    assert there["images"] == {"input": ["/b/x/1.png", "/b/x/2.png"], "reference": ["/b/y/1.png", "/b/y/2.png"]}
    assert there["objective"] == {"penalties": [{"region": "/b/m.png"}, {"region": "edges"}]}
    assert there["judge"] == {"weights": "/ab/w"}
    assert moved(recipe, {"/ab": "/c", "/a/x": "/d"})["images"]["input"] == ["/d/1.png", "/d/2.png"]
    assert moved(recipe, None) == recipe


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"search": {"strategy": "gradient"}}, "gradient makes each trial from the one before"),
        ({"images": {"input": "in/*.png", "reference": "incumbent"}}, "incumbent compares each trial with the best"),
    ],
)
def test_searches_that_cannot_be_shared_are_refused(tmp_path: Path, sections: dict[str, Any], expected: str) -> None:
    recipe = make_recipe(tmp_path, **sections)
    with pytest.raises(UserError, match=expected):
        run(recipe, tmp_path / "run", quiet=True, judge=FakeJudge(), workers=2)
    assert not (tmp_path / "run").exists()


def test_what_a_study_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    for url, expected in {
        "postgresql://nobody:secret@127.0.0.1:1/x": r"postgresql://nobody@127\.0\.0\.1:1/x: cannot be reached",
        "nonsense://host/x": "nonsense://host/x: not a storage's URL",
        "grpc://host": "expected grpc://host:port",
        f"sqlite:///{tmp_path}/none/study.db": "cannot be reached",
    }.items():
        with pytest.raises(UserError, match=expected) as caught:
            open_store(url, "s")
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="--study is missing"):
        open_store(f"sqlite:///{tmp_path}/study.db")
    with pytest.raises(UserError, match="has no study 's'; start it by tuner run --storage"):
        work(open_store(f"sqlite:///{tmp_path}/study.db", "s"))
    assert without_password("postgresql://me:secret@host/d") == "postgresql://me@host/d"


def reachable_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    folder = tmp_path_factory.mktemp(name)
    for above in (folder, *folder.parents[:-2]):
        above.chmod(0o755)  # pytest's folders are for their owner, and the server runs as another user
    return folder


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Any:
    need(binaries() is not None, "PostgreSQL is missing: apt-get install postgresql")
    with Postgres(reachable_folder(tmp_path_factory, "postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Any:
    need(mysql_missing() is None, f"{mysql_missing()} is missing: apt-get install mariadb-server")
    with MySql(reachable_folder(tmp_path_factory, "mysql")) as server:
        yield server


def run_beside_a_worker(
    recipe: Recipe, folder: Path, url: str, study: str, once_both_work: Callable[[], None] = lambda: None
) -> tuple[Result, int]:
    """Run a recipe with a worker of another process beside it: the result, and how many trials were the worker's."""
    helpers: list[subprocess.Popen[str]] = []
    met: list[int] = []

    def help_out() -> None:
        deadline = time.monotonic() + 60
        store = open_store(url, study)
        while not store.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        helpers.append(start_worker(url, study))
        # A worker that starts while the server is away is told so, and ends: both must be at work before that.
        while len(met) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            met[:] = {trial.system_attrs[WORKER_KEY] for trial in store.load().get_trials(deepcopy=False)}
        once_both_work()

    thread = threading.Thread(target=help_out)
    thread.start()
    result = run(recipe, folder, quiet=True, judge=FakeJudge(), storage=url, study_name=study)
    thread.join()
    assert len(met) == 2
    said, errors = helpers[0].communicate(timeout=120)
    assert helpers[0].returncode == 0, errors
    return result, int(said)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_workers_that_open_an_empty_database_at_once_all_get_in(kind: str, tmp_path: Path, postgres: Postgres) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    if kind == "postgresql":
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE empty")
        url = postgres.url.removesuffix("postgres") + "empty"
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(4)

    def enter() -> None:
        together.wait()
        assert not open_store(url, "s").exists()

    processes = [fork.Process(target=enter) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]


@pytest.mark.slow
def test_a_study_behind_the_grpc_proxy_is_shared_like_one_on_the_server(tmp_path: Path, postgres: Postgres) -> None:
    recipe = make_recipe(tmp_path, pipeline=SLOW, search=search(80))
    with StorageProxy(postgres.url, tmp_path) as proxy:
        result, said = run_beside_a_worker(recipe, tmp_path / "run", proxy.url, "proxied")
    assert proxy.said.splitlines()[0] == f"proxy: {proxy.url}"
    assert "Traceback" not in proxy.said
    assert 0 < said < 80
    alone = run(recipe, tmp_path / "alone", quiet=True, judge=FakeJudge())
    assert by_slot(result.trials) == by_slot(alone.trials)
    # The database has it all: the proxy kept nothing for itself.
    assert outcomes(open_store(postgres.url, "proxied").load().trials)[TrialState.COMPLETE, None] == 80


@pytest.mark.slow
def test_a_study_on_postgresql_outlives_its_server_and_a_worker(tmp_path: Path, postgres: Postgres) -> None:
    trials = 100  # a trial takes 50 ms and the storage, a worker seconds to start
    recipe = make_recipe(tmp_path, pipeline=SLOW, search=search(trials))
    with pytest.raises(UserError, match="has no study 'shared' to resume"):
        run(recipe, tmp_path / "no", resume=True, judge=FakeJudge(), storage=postgres.url, study_name="shared")
    restarted: list[int] = []

    def restart() -> None:
        restarted.append(len(open_store(postgres.url, "shared").load().trials))
        postgres.restart()

    result, said = run_beside_a_worker(recipe, tmp_path / "run", postgres.url, "shared", restart)
    assert 0 < restarted[0] < trials
    assert len(result.trials) == trials
    assert outcomes(open_study(tmp_path / "run").trials)[TrialState.COMPLETE, None] == trials  # the copy in the folder
    assert 0 < said < trials
    alone = run(recipe, tmp_path / "alone", quiet=True, judge=FakeJudge())
    assert by_slot(result.trials) == by_slot(alone.trials)
    # From another machine, with nothing but the URL and the study's name.
    more = make_recipe(tmp_path, pipeline=SLOW, search=search(trials + 2))
    again = run(
        more, tmp_path / "other", resume=True, quiet=True, judge=FakeJudge(), storage=postgres.url, study_name="shared"
    )
    assert len(again.trials) == trials + 2
    with pytest.raises(UserError, match="has a study 'shared' already"):
        run(recipe, tmp_path / "twice", judge=FakeJudge(), storage=postgres.url, study_name="shared")


@pytest.mark.slow
def test_a_study_on_mysql_outlives_its_server_and_is_the_one_worker_would_make(tmp_path: Path, mysql: MySql) -> None:
    recipe = make_recipe(tmp_path, pipeline=SLOW, search=search(80))
    result, said = run_beside_a_worker(recipe, tmp_path / "run", mysql.url, "shared", mysql.restart)
    assert outcomes(open_study(tmp_path / "run").trials)[TrialState.COMPLETE, None] == len(result.trials) == 80
    assert 0 < said < 80
    assert by_slot(result.trials) == by_slot(run(recipe, tmp_path / "alone", quiet=True, judge=FakeJudge()).trials)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["worker", "nowhere"], "nowhere: expected a storage's URL, or the folder of a run"),
        (["worker", "sqlite:///x.db"], "--study is missing"),
        (["worker", "sqlite:///x.db", "--study", "s", "--images", "a", "--images", "b=c"], "one folder alone"),
        (["storage-proxy", "nowhere"], "nowhere: expected the URL of a database"),
    ],
)
def test_wrong_commands_end_with_2_and_one_line(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert expected in said and "\n" not in said
