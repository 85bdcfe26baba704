"""What programs say on standard error: in the message of a failure, and in the record of every trial."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState

from pipelines import PipelineError, load
from pipelines.external import Command
from tests.pipelines.command_recipe import command_recipe
from tests.tuner.fake_judge import FakeJudge
from tuner.recipe_file import load_recipe
from tuner.runner import run
from tuner.study import open_study

PICTURE = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0))


def command(tmp_path: Path, *bodies: str) -> Command:
    """A pipeline of Python programs: the first is given {input}, the last {output}, {encoded} lies between two."""
    files = ["{input}", *["{encoded}"] * (len(bodies) - 1), "{output}"]
    lists = []
    for index, body in enumerate(bodies):
        script = tmp_path / f"program{index}.py"
        script.write_text(f"import os, shutil, sys\nsource, target = sys.argv[1:3]\n{body}\n")
        lists.append([sys.executable, str(script), files[index], files[index + 1]])
    pipeline = load("command", {"command": lists, "most_megabytes": 1})
    assert isinstance(pipeline, Command)
    return pipeline


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("pass", "exited with 0 but wrote no output; it said: no such profile$"),
        ("open(target, 'w').write('no picture')", "the output is no picture: .*; it said: no such profile$"),
        (
            "from PIL import Image; Image.new('RGB', (20, 24)).save(target)",
            "20 x 24 pixels, expected 40 x 24 as the input; it said: no such profile$",
        ),
        ("sys.exit(3)", "exited with code 3; it said: no such profile$"),
    ],
    ids=["nothing", "garbage", "size", "exit"],
)
def test_every_failure_says_what_the_program_said(tmp_path: Path, body: str, reason: str) -> None:
    pipeline = command(tmp_path, f"print('no such\\n profile', file=sys.stderr)\n{body}")
    with pytest.raises(PipelineError, match=reason):
        pipeline(PICTURE)
    assert pipeline.take_said().endswith(": no such profile")


def test_of_two_programs_each_is_named(tmp_path: Path) -> None:
    says = "print('{}', file=sys.stderr); shutil.copy(source, target)"
    pipeline = command(tmp_path, says.format("half a picture"), "print('cut short', file=sys.stderr)")
    with pytest.raises(PipelineError, match=r"it said: python\S*: half a picture; python\S*: cut short$"):
        pipeline(PICTURE)


def test_what_was_said_is_bounded_free_of_folders_and_taken_once(tmp_path: Path) -> None:
    pipeline = command(tmp_path, "sys.stderr.write('y' * 10**5 + source); shutil.copy(source, target)")
    assert pipeline.take_said() == ""
    pipeline(PICTURE.repeat(8, 1, 1, 1))
    said = pipeline.take_said()
    assert len(said) == 2000 and "tuner-command" not in said  # the same record for the same recipe and seed
    assert said.splitlines()[-1].endswith("y" * 100 + "input.png")
    assert pipeline.take_said() == ""


def test_a_program_cannot_make_reading_it_hang(tmp_path: Path) -> None:
    """Nothing in the folder stands for standard error, so nothing else can be put in its place."""
    body = (
        "for name in os.listdir('.'):\n"
        "    if name.startswith('.'): os.remove(name); os.mkfifo(name)\n"
        "print('still heard', file=sys.stderr); shutil.copy(source, target)"
    )
    pipeline = command(tmp_path, body)
    pipeline(PICTURE)
    assert pipeline.take_said().endswith("still heard")


def test_a_study_keeps_it_with_failed_and_finished_trials(tmp_path: Path) -> None:
    """The third trial of six fails; the second says nothing."""
    (tmp_path / "program.py").write_text(
        "import pathlib, shutil, sys\n"
        f"seen = pathlib.Path({str(tmp_path / 'seen')!r})\n"
        "number = len(seen.read_text()) if seen.exists() else 0\n"
        "seen.write_text('x' * (number + 1))\n"
        "if number != 1: print('warning: run', number, 'guesses the profile', file=sys.stderr)\n"
        "if number == 2: sys.exit('cannot go on')\n"
        "shutil.copy(*sys.argv[2:])\n"
    )
    recipe = command_recipe(tmp_path, "program.py", trials=6)
    run(load_recipe(recipe), tmp_path / "run", quiet=True, judge=FakeJudge())
    trials = open_study(tmp_path / "run").trials
    good, bad = TrialState.COMPLETE, TrialState.FAIL
    assert [trial.state for trial in trials] == [good, good, bad, good, good, good]
    python = Path(sys.executable).name
    for number, trial in enumerate(trials):
        if number == 1:
            assert "stderr" not in trial.user_attrs
            continue
        said = f"warning: run {number} guesses the profile" + (" cannot go on" if number == 2 else "")
        assert trial.user_attrs["stderr"] == f"{python}: {said}"
        if number == 2:
            assert trial.user_attrs["reason"] == f"command: {python} exited with code 1; it said: {said} (picture in)"
        else:
            assert "reason" not in trial.user_attrs
