"""The command line as another process: help, a whole run, stopping and going on, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.tuner.command import environment, tuner
from tests.tuner.recipe_data import picture, recipe_folder


def test_help_names_every_command_and_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from tuner.cli import main; assert main(['--help']) == 0; "
        "assert not {'torch', 'optuna', 'pydantic', 'cv2'} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    for name in (
        *("run", "check", "apply", "compare", "score", "rank", "report", "export", "list", "schema", "train"),
        *("evaluate", "distort"),
    ):
        assert re.search(rf"^\W*{name}\b", answer.stdout, re.MULTILINE), name


def test_run_export_apply_and_report(tmp_path: Path) -> None:
    recipe = recipe_folder(tmp_path)
    answer = tuner("run", recipe, "--out", "runs/one", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Traceback" not in answer.stderr
    lines = dict(line.split("\t", 1) for line in answer.stdout.splitlines())
    assert lines["run"] == str(tmp_path / "runs/one")
    assert Path(lines["report"]).is_file()
    best = yaml.safe_load((tmp_path / "runs/one/best_parameters.yaml").read_text())
    assert 0.3 <= best["sigma"] <= 2.0

    exported = tuner("export", "runs/one", "--format", "json", cwd=tmp_path)
    assert (exported.returncode, json.loads(exported.stdout)) == (0, best)

    other = picture(tmp_path / "other.png", 40, 80, seed=5, noise=0.1)
    applied = tuner("apply", "runs/one", other, "--out", "out", cwd=tmp_path)
    assert applied.returncode == 0, applied.stderr
    from pixelperfect_models.images import read_image

    before, after = read_image(other), read_image(tmp_path / "out" / "other.png")
    assert after.shape == before.shape
    assert after.diff().abs().mean() < before.diff().abs().mean()  # it has been smoothed


def test_ctrl_c_keeps_what_was_found_and_resume_goes_on(tmp_path: Path) -> None:
    recipe = recipe_folder(tmp_path, count=1)
    command = [sys.executable, "-m", "tuner", "run", str(recipe), "--out", "stopped"]
    process = subprocess.Popen(
        [*command, "--set", "search.trials=100000"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "stopped" / "best_parameters.yaml").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-2:] == ["go on with the same command and --resume", "stopped"]
    assert "Traceback" not in errors

    found = json.loads((tmp_path / "stopped" / "result.json").read_text())["trials"]
    resumed = tuner("run", recipe, "--out", "stopped", "--resume", "--set", f"search.trials={found + 2}", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads((tmp_path / "stopped" / "result.json").read_text())["trials"] == found + 2


def test_check_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    recipe = recipe_folder(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    answer = tuner("check", recipe, "-s", "search.trials=7", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    lines = [line.split("\t") for line in answer.stdout.splitlines()]
    assert ["trials", "7"] in lines
    assert ["sigma", "0.3 to 2, log", "0.7"] in lines
    assert ["picture 1", str(tmp_path / "noisy/1.png"), str(tmp_path / "clean/1.png")] in lines
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("folder", ["occupied", "/proc/run"])
def test_a_run_folder_that_cannot_be_made(tmp_path: Path, folder: str) -> None:
    recipe = recipe_folder(tmp_path)
    (tmp_path / "occupied").write_text("a file where the folder should go")
    answer = tuner("run", recipe, "--out", folder, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    assert folder in answer.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; the cases above are refused to root too")
def test_a_read_only_run_folder(tmp_path: Path) -> None:
    recipe = recipe_folder(tmp_path)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for folder in (closed, closed / "new"):
        answer = tuner("run", recipe, "--out", folder, cwd=tmp_path)
        assert answer.returncode == 2
        assert len(answer.stderr.splitlines()) == 1, answer.stderr


def test_a_bad_recipe_lists_every_problem_and_exits_2(tmp_path: Path) -> None:
    recipe = recipe_folder(tmp_path)
    recipe.write_text(recipe.read_text().replace("sampler: random", "sampler: randm").replace("blur", "blr"))
    answer = tuner("run", recipe, cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    first, second = answer.stderr.splitlines()
    assert first.startswith(f"{recipe}:10: objective.penalties.0.type: found 'blr'")
    assert second.startswith(f"{recipe}:11: search.sampler: found 'randm'")
    assert not (tmp_path / "runs").exists()


def test_a_pipeline_that_always_fails_exits_1(tmp_path: Path) -> None:
    (tmp_path / "broken_pipeline.py").write_text(
        "from pipelines import Parameter, Pipeline\n"
        "class Broken(Pipeline):\n"
        "    parameters = {'x': Parameter(0.0, 1.0, 0.5)}\n"
        "    def process(self, image, x):\n"
        "        raise RuntimeError('no luck today')\n"
    )
    recipe = recipe_folder(tmp_path)
    overrides = ["--set", "pipeline={name: 'broken_pipeline:Broken', search: {x: {}}}"]
    for command in (["check", recipe], ["run", recipe, "--quiet"]):
        answer = tuner(*command, *overrides, cwd=tmp_path)
        assert answer.returncode == 1
        assert len(answer.stderr.splitlines()) == 1, answer.stderr
        assert "no luck today" in answer.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tuner", "schema"],
        cwd=tmp_path,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(timeout=60)


def test_no_color_is_honoured_on_a_terminal(tmp_path: Path) -> None:
    def printed(**more: str) -> str:
        import pty

        ours, theirs = pty.openpty()
        variables = {key: value for key, value in environment().items() if key not in ("NO_COLOR", "FORCE_COLOR")}
        variables |= {"TERM": "xterm-256color", **more}
        process = subprocess.Popen(
            [sys.executable, "-m", "tuner", "list", "types"], env=variables, stdout=theirs, stdin=theirs, stderr=theirs
        )
        os.close(theirs)
        chunks = []
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # the other end was closed
                break
            if not chunk:
                break
            chunks.append(chunk)
        os.close(ours)
        assert process.wait(timeout=60) == 0
        return b"".join(chunks).decode()

    drawn = printed(NO_COLOR="1")
    assert "┃" in drawn  # a table for people
    assert "chroma_noise" in drawn
    assert not re.search(r"\x1b\[[0-9;]*(3[0-8]|9[0-7])", drawn)
