"""``tuner dashboard`` answers by HTTP on loopback with the run's trials."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler

from pixelperfect_models.errors import UserError
from tests.tuner.command import ROOT, environment
from tests.tuner.test_claims import SPACE
from tests.tuner.test_study import RECIPE, evaluation
from tuner.cli.dashboard import dashboard
from tuner.run_folder import write_storage
from tuner.storage import open_store
from tuner.study import RunStudy


def make_run(folder: Path, storage: str | None = None) -> None:
    folder.mkdir()
    if storage is None:
        study = RunStudy.create(folder, RECIPE)
    else:
        store = open_store(storage, "elsewhere")
        write_storage(folder, store)
        study = RunStudy.create(store, RECIPE)
    for value in (1.0, 2.0):
        trial = study.ask(RandomSampler(seed=0), dict(SPACE))
        assert trial is not None
        study.complete(trial, evaluation(value))
    study.close()


@pytest.mark.parametrize("on_a_server", [False, True])
def test_answers_with_the_trials_of_the_run(tmp_path: Path, on_a_server: bool) -> None:
    make_run(tmp_path / "run", f"sqlite:///{tmp_path}/study.db" if on_a_server else None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tuner", "dashboard", str(tmp_path / "run"), "--port", "0", "--no-browser"],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"dashboard: (http://127\.0\.0\.1:\d+)/dashboard", line):
                break
        assert found, lines

        def get(path: str) -> bytes:
            with urllib.request.urlopen(found[1] + path, timeout=60) as answer:
                return answer.read()  # type: ignore[no-any-return]

        assert b"<html" in get("/dashboard").lower()
        (summary,) = json.loads(get("/api/studies"))["study_summaries"]
        trials = json.loads(get(f"/api/studies/{summary['study_id']}?after=0"))["trials"]
        assert [trial["values"] for trial in trials] == [[1.0], [2.0]]
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_says_which_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "run")
    monkeypatch.delitem(sys.modules, "optuna_dashboard", raising=False)
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "optuna_dashboard":
            raise ImportError("No module named 'optuna_dashboard'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'pixel-perfect-tuner\[dashboard\]'"):
        dashboard(tmp_path / "run", 0, False)


def test_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        dashboard(tmp_path, 0, False)
    with pytest.raises(UserError, match="no such run folder"):
        dashboard(tmp_path / "none", 0, False)
