"""Workers by the command line, as on many machines: the run, its workers, and others that know the URL alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from tests.tuner.command import environment, tuner
from tests.tuner.recipe_data import picture
from tests.tuner.tiny_pipelines import Waiting
from tuner.liveness import WORKER
from tuner.storage import open_store

RECIPE = {
    "name": "shared",
    "pipeline": {"name": "denoise.bilateral_opencv", "search": {"sigma_color": {}, "sigma_space": {}}},
    "images": {"input": "noisy/*.png", "reference": "clean/*.png"},
    "search": {"strategy": "optuna", "sampler": "random", "trials": 30, "seed": 2},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("noisy", "clean"):
        picture(tmp_path / kind / "p.png", 48, 40)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_worker_elsewhere_helps_with_nothing_but_the_url_the_name_and_the_pictures(folder: Path) -> None:
    url = f"sqlite:///{folder}/study.db"
    elsewhere = folder / "elsewhere"
    for kind in ("noisy", "clean"):
        shutil.copytree(folder / kind, elsewhere / kind)
    waiting = RECIPE | {
        "pipeline": {"name": "tests.tuner.tiny_pipelines:Waiting", "search": {"gamma": {}, "lift": {}}},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(waiting), encoding="utf-8")
    command = [sys.executable, "-m", "tuner", "run", "recipe.yaml", "--out", "run", "--quiet", "--storage", url]
    # The run would have made all trials before the worker has imported what it needs: it waits in its first one.
    helped = folder / "helped"
    slowed = environment(**{Waiting.WAIT_FOR: str(helped)})
    main = subprocess.Popen([*command, "--study", "s"], cwd=folder, env=slowed, stdout=subprocess.PIPE)
    store = open_store(url, "s")
    deadline = time.monotonic() + 60
    while not store.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    # The storage from the environment, as a cluster's job file gives it.
    helper = subprocess.run(
        [sys.executable, "-m", "tuner", "worker", "--study", "s", "--trials", "5", "--images", str(elsewhere)],
        cwd=elsewhere, env=environment(TUNER_STORAGE=url), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    helped.touch()
    main.communicate(timeout=240)
    assert (helper.returncode, main.returncode) == (0, 0), helper.stderr
    trials = store.load().get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(done) == len(trials) == 30
    by_worker = [trial.system_attrs[WORKER] for trial in done]
    assert sorted(by_worker.count(worker) for worker in set(by_worker)) == [5, 25]
    assert json.loads((folder / "run/result.json").read_text(encoding="utf-8"))["trials"] == 30
    assert (folder / "run/report.html").is_file()


@pytest.mark.slow
def test_a_run_with_workers_of_its_own_makes_the_trials_that_one_process_makes(folder: Path) -> None:
    told = []
    for out, workers in (("two", "2"), ("one", "1")):
        done = tuner("run", "recipe.yaml", "--out", out, "--quiet", "--workers", workers, cwd=folder)
        assert done.returncode == 0, done.stderr
        told.append(json.loads((folder / out / "result.json").read_text(encoding="utf-8")))
    two, one = told
    assert two["trials"] == one["trials"] == 30
    assert two["best"]["parameters"] == one["best"]["parameters"]
    assert two["best"]["value"] == pytest.approx(one["best"]["value"], abs=1e-6)


def test_what_needs_the_step_before_refuses_workers(folder: Path) -> None:
    strategy = ("--set", "search={strategy: gradient}", "--set", "pipeline.name=denoise.bilateral")
    refused = tuner("run", "recipe.yaml", "--out", "no", "--workers", "2", *strategy, cwd=folder)
    assert refused.returncode != 0
    assert "gradient" in refused.stderr and "Traceback" not in refused.stderr
    assert not (folder / "no").exists()
