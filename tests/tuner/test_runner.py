"""A whole run: its folder, its result, and what survives failures, Ctrl-C and kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import TrialState

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import make_pictures, make_recipe, register
from tuner.recipe_file import load_recipe
from tuner.run_folder import safe_name, write_text
from tuner.runner import Result, RunFailed, run
from tuner.study import INTERRUPTED, open_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _tiny_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def go(folder: Path, out: Path | None, resume: bool = False, **sections: Any) -> Result:
    return run(make_recipe(folder, **sections), out, resume=resume, quiet=True, judge=FakeJudge())


class TestFolder:
    def test_holds_everything(self, tmp_path: Path) -> None:
        pipeline = {"name": "test.power", "search": {"gamma": {}}, "fixed": {"lift": 0.0}}
        result = go(tmp_path, tmp_path / "run", pipeline=pipeline)
        folder = tmp_path / "run"
        assert result.run_dir == folder
        parameters = yaml.safe_load((folder / "best_parameters.yaml").read_text())
        assert parameters == result.best_parameters
        assert set(parameters) == {"gamma", "lift"}

        record = json.loads((folder / "result.json").read_text())
        assert record["best"] == result.best
        assert record["start"] == result.start
        assert (record["trials"], record["failed"], record["interrupted"]) == (6, 0, False)
        assert record["trials_per_second"] == pytest.approx(6 / record["seconds"])
        assert (record["strategy"], record["sampler"]) == ("optuna", "tpe")
        assert record["best"]["parameters"] == parameters
        assert record["best"]["value"] == max(trial.value for trial in result.trials)

        environment = json.loads((folder / "environment.json").read_text())
        assert environment["packages"]["optuna"].startswith("5.")
        assert environment["threads"] >= 1

        again = load_recipe(folder / "recipe.yaml")
        assert again.resolved() == make_recipe(tmp_path, pipeline=pipeline).resolved()
        for name, size in (("p0", (32, 40)), ("p1", (40, 32))):
            assert read_image(folder / "outputs" / f"{name}.png").shape == (1, 3, *size)
            assert read_image(folder / "maps" / f"{name}.png").shape[-1] > 1000
        assert len(open_study(folder).trials) == 6
        assert not list(folder.glob(".*"))

    def test_default_is_named_for_the_recipe_and_never_taken_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(time, "strftime", lambda form: "20260102-030405")
        folders = [go(tmp_path, None, name="a b/c").run_dir for _ in range(2)]
        assert folders == [tmp_path / "runs" / f"a-b-c-20260102-030405{end}" for end in ("", "-2")]

    @pytest.mark.parametrize("name", ["../..", "a/b", "", "...", "ü n"])
    def test_a_name_cannot_leave_its_folder(self, name: str) -> None:
        assert Path("runs", safe_name(name)).parent == Path("runs")
        assert safe_name(name).strip(".")

    def test_an_existing_run_is_not_overwritten(self, tmp_path: Path) -> None:
        go(tmp_path, tmp_path / "run")
        before = (tmp_path / "run" / "result.json").read_text()
        with pytest.raises(UserError, match="already holds a run; go on with it by --resume"):
            go(tmp_path, tmp_path / "run")
        assert (tmp_path / "run" / "result.json").read_text() == before
        with pytest.raises(UserError, match="not empty"):
            go(tmp_path, tmp_path / "in")
        with pytest.raises(UserError, match="cannot be made"):
            go(tmp_path, tmp_path / "in" / "p0.png" / "below")

    def test_a_file_is_replaced_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_text(tmp_path / "f", "old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                write_text(tmp_path / "f", "new")
        assert (tmp_path / "f").read_text() == "old"


class TestResume:
    def test_makes_exactly_the_trials_that_are_missing(self, tmp_path: Path) -> None:
        search = {"strategy": "optuna", "sampler": "random", "trials": 5, "seed": 1}
        go(tmp_path, tmp_path / "run", search=search)
        more = go(tmp_path, tmp_path / "run", resume=True, search={**search, "trials": 9})
        assert len(more.trials) == len(open_study(tmp_path / "run").trials) == 9
        whole = go(tmp_path, tmp_path / "whole", search={**search, "trials": 9})
        assert [t.params for t in more.trials] == [t.params for t in whole.trials]
        done = go(tmp_path, tmp_path / "run", resume=True, search={**search, "trials": 9})
        assert len(done.trials) == 9
        assert json.loads((tmp_path / "run" / "result.json").read_text())["trials"] == 9

    def test_without_a_folder_takes_the_newest_of_the_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match=r"runs/tiny-\*: no run to resume"):
            go(tmp_path, None, resume=True)
        first = go(tmp_path, None)
        assert go(tmp_path, None, resume=True).run_dir == first.run_dir

    def test_another_recipe_is_refused(self, tmp_path: Path) -> None:
        go(tmp_path, tmp_path / "run")
        with pytest.raises(UserError, match=r"objective\.penalties\[0\]\.type: stored nothing, now 'blur'"):
            go(tmp_path, tmp_path / "run", resume=True, objective={"penalties": [{"type": "blur"}]})


class TestFailures:
    @pytest.mark.parametrize("strategy", ["optuna", "gradient"])
    def test_when_all_trials_fail_the_first_reason_is_named(self, tmp_path: Path, strategy: str) -> None:
        size = {"trials": 4} if strategy == "optuna" else {"starts": 2, "steps": 2}
        pipeline = {"name": "test.broken", "search": {"gamma": {}}}
        with pytest.raises(
            RunFailed, match=r"all 4 trials failed; the first: .*no memory left at gamma 1\.00"
        ) as caught:
            go(tmp_path, tmp_path / "run", pipeline=pipeline, search={"strategy": strategy, **size})
        assert not isinstance(caught.value, UserError)  # exit code 1
        assert "\n" not in str(caught.value)
        assert len(open_study(tmp_path / "run").trials) == 4
        assert not (tmp_path / "run" / "best_parameters.yaml").exists()

    def test_a_constraint_on_an_unknown_measure_ends_the_run(self, tmp_path: Path) -> None:
        objective = {"constraints": [{"measure": "bites", "at_most": 1}]}
        with pytest.raises(UserError, match="did you mean 'bytes'"):
            go(tmp_path, tmp_path / "run", objective=objective)


SCRIPT = """
    import sys
    from pathlib import Path
    from tests.tuner.fake_judge import FakeJudge
    from tests.tuner.tiny_pipelines import make_recipe, register
    from tuner.runner import run
    register()
    folder = Path(sys.argv[1])
    search = {"strategy": "optuna", "sampler": "tpe", "trials": int(sys.argv[2]), "seed": 0}
    recipe = make_recipe(folder, pipeline={"name": "test.slow", "search": {"gamma": {}}}, search=search)
    try:
        run(recipe, folder / "run", judge=FakeJudge())
    except KeyboardInterrupt:
        sys.exit(130)
"""


class TestStopping:
    def start(self, folder: Path, wait_for: int) -> tuple[subprocess.Popen[str], int]:
        """A run of 500 slow trials in a process of its own, once ``wait_for`` of its trials are done."""
        make_pictures(folder, ((32, 40),))
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), "500"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            done = self.finished(folder / "run")
            if done >= wait_for:
                return process, done
            time.sleep(0.1)
        process.kill()
        raise AssertionError("the run did not get going")

    @staticmethod
    def finished(folder: Path) -> int:
        try:
            return sum(trial.state == TrialState.COMPLETE for trial in open_study(folder).trials)
        except UserError:
            return 0

    @staticmethod
    def resume(folder: Path, trials: int) -> Result:
        search = {"strategy": "optuna", "sampler": "tpe", "trials": trials, "seed": 0}
        pipeline = {"name": "test.slow", "search": {"gamma": {}}}
        return go(folder, folder / "run", resume=True, pipeline=pipeline, search=search)

    def test_kill_9_loses_no_finished_trial(self, tmp_path: Path) -> None:
        process, done = self.start(tmp_path, 4)
        process.kill()
        process.wait()
        after = self.finished(tmp_path / "run")
        assert after >= done
        best = yaml.safe_load((tmp_path / "run" / "best_parameters.yaml").read_text())
        assert set(best) == {"gamma"}
        assert json.loads((tmp_path / "run" / "result.json").read_text())["interrupted"] is True
        trials = after + 3
        result = self.resume(tmp_path, trials)
        assert len(result.trials) == trials
        states = [(t.state, t.user_attrs.get("reason")) for t in open_study(tmp_path / "run").trials]
        assert states.count((TrialState.COMPLETE, None)) == trials
        assert set(states) <= {(TrialState.COMPLETE, None), (TrialState.FAIL, INTERRUPTED)}

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ctrl_c_keeps_everything_and_says_so_by_its_exit(self, tmp_path: Path, number: signal.Signals) -> None:
        process, done = self.start(tmp_path, 2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert "Traceback" not in errors
        study = open_study(tmp_path / "run")
        assert self.finished(tmp_path / "run") >= done
        assert not [trial for trial in study.trials if trial.state == TrialState.RUNNING]
        record = json.loads((tmp_path / "run" / "result.json").read_text())
        assert record["interrupted"] is True
        assert record["best"]["value"] == max(trial.value for trial in study.trials if trial.value is not None)
        best = yaml.safe_load((tmp_path / "run" / "best_parameters.yaml").read_text())
        assert best == record["best"]["parameters"]


def test_the_signal_handler_is_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    go(tmp_path, tmp_path / "run")
    assert signal.getsignal(signal.SIGTERM) is before
