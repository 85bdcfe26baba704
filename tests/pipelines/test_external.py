"""Programs as pipelines: what well-behaved ones give, and that no misbehaving one hangs or leaves anything behind."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from pipelines import OptionsError, PipelineError, load
from pixelperfect_models.images import read_image
from tests.needs import need_program
from tests.pipelines.command_recipe import command_recipe
from tuner.cli import main

CLEAN = Path(__file__).parents[2] / "recipes/photos/clean"
PARAMETER = {"low": 0.0, "high": 1.0, "default": 0.25}


@pytest.fixture
def picture() -> torch.Tensor:
    return (torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0)) * 255).round() / 255


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever happens, nothing may be left in the folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield folder
    # torch makes its own folder there, by its own name, when it is first imported.
    assert [path for path in folder.iterdir() if not path.name.startswith("torchinductor")] == []


def program(tmp_path: Path, body: str, **options):
    script = tmp_path / "pro gram.py"
    script.write_text("import os, shutil, signal, sys, time\nvalue, source, target = sys.argv[1:4]\n" + body)
    given = {"timeout": 5, "parameters": {"amount": PARAMETER}, **options}
    return load("command", {"command": [sys.executable, str(script), "{amount}", "{input}", "{output}"], **given})


def running(mark: str) -> list[str]:
    return subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True).stdout.split()


def test_a_program_gets_its_files_and_parameters(tmp_path: Path, picture: torch.Tensor) -> None:
    seen = tmp_path / "seen"
    pipeline = program(tmp_path, f"open({str(seen)!r}, 'a').write(value + ' '); shutil.copy(source, target)")
    output = pipeline.run(torch.cat([picture, 1 - picture]), {"amount": 1 / 3})
    assert torch.allclose(output.image, torch.cat([picture, 1 - picture]), atol=1e-6)
    assert seen.read_text() == "0.333333 0.333333 "
    assert output.measures["bits_per_pixel"] == pytest.approx(output.measures["bytes"] * 8 / (24 * 40))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("print('no such profile', file=sys.stderr); sys.exit(3)", "exited with code 3; it said: no such profile"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("pass", "exited with 0 but wrote no output; it said nothing"),
        ("open(target, 'w').write('no picture')", "the output is no picture: .*; it said nothing"),
        ("open(target, 'w')", "the output is no picture"),
        ("os.symlink(source, target)", "wrote no output"),
        ("os.mkfifo(target)", "wrote no output"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 3)", "ended by signal"),
        (
            "from PIL import Image; Image.new('RGB', (20, 24)).save(target)",
            "the output is 20 x 24 pixels, expected 40 x 24 as the input; it said nothing",
        ),
        (
            "f = open(target, 'wb')\nwhile True: f.write(b'x' * 2**16)",
            r"(wrote more than 1000000 bytes|exited with code 1; it said: .*File too large)",
        ),
        ("while True: sys.stderr.write('x' * 2**16)", r"python\S* exited with code \d+; it said: .*x{50}"),
        ("while True: sys.stdout.write('x' * 2**16)", "still running after 2 s"),
        ("x = bytearray(2**33); shutil.copy(source, target)", "exited with code 1; it said: .*MemoryError"),
    ],
    ids=[
        *("crash", "signal", "nothing", "garbage", "empty", "link", "pipe", "realtime", "size"),
        *("file", "stderr", "stdout", "memory"),
    ],
)
def test_misbehaving_programs_fail_with_a_reason(tmp_path: Path, picture: torch.Tensor, body: str, reason: str) -> None:
    pipeline = program(tmp_path, body, timeout=2, most_megabytes=1, memory_gigabytes=2)
    start = time.perf_counter()
    with pytest.raises(PipelineError, match=reason) as error:
        pipeline(picture)
    assert time.perf_counter() - start < 6
    assert "\n" not in str(error.value) and len(str(error.value)) < 700


def test_a_hanging_program_is_ended_with_its_children(tmp_path: Path, picture: torch.Tensor) -> None:
    mark = f"hanging_{time.time_ns()}"
    child = "import signal, time; signal.signal(15, 1); time.sleep(60)"
    body = (
        "import subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}, '{mark}'])\n"
        "time.sleep(60)"
    )
    pipeline = program(tmp_path, body, timeout=1)
    with pytest.raises(PipelineError, match="still running after 1 s and was ended"):
        pipeline(picture)
    assert running(mark) == []


def test_children_of_a_program_that_is_done_are_ended_too(tmp_path: Path, picture: torch.Tensor) -> None:
    mark = f"orphan_{time.time_ns()}"
    body = (
        f"import subprocess\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'])\n"
        "shutil.copy(source, target)"
    )
    assert torch.allclose(program(tmp_path, body)(picture), picture, atol=1e-6)
    assert running(mark) == []


def test_a_daemon_is_ended_too(tmp_path: Path, picture: torch.Tensor) -> None:
    mark = f"daemon_{time.time_ns()}"
    body = (
        f"import subprocess\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '{mark}'],"
        " start_new_session=True)\nshutil.copy(source, target)"
    )
    assert torch.allclose(program(tmp_path, body)(picture), picture, atol=1e-6)
    deadline = time.monotonic() + 2  # a killed process is there until it is reaped
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running(mark) == []


def test_a_huge_output_is_refused_before_it_is_decoded(tmp_path: Path, picture: torch.Tensor) -> None:
    Image.new("L", (13_000, 13_000)).save(tmp_path / "huge.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PipelineError, match="the output is 13000 x 13000 pixels, expected 40 x 24 as the input"):
        program(tmp_path, f"shutil.copy({str(tmp_path / 'huge.png')!r}, target)")(picture)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB; the pixels are two gigabytes


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"command": "cwebp {input} -o {output}"}, "expected a list of arguments"),
        ({"command": ["no-such-program", "{input}", "{output}"]}, "no-such-program is not installed"),
        ({"command": ["true", "{input}"]}, r"\{output\} is nowhere in it"),
        ({"command": ["true", "{input}", "{output}", "{qualty}"]}, r"\{qualty\} is unknown"),
        ({"command": ["true", "{input.__class__}", "{output}"]}, r"\{input.__class__\} is unknown"),
        ({"command": ["true", "{input!r}", "{output}"]}, "expected a format such as"),
        ({"command": ["true", "{input", "{output}"]}, "a brace itself is written twice"),
        ({"command": ["true", "{input}", "{output}"], "parameters": {"a": 3}}, "parameters.a: 3, expected"),
        ({"command": ["true", "{input}", "{output}"], "parameters": {"a": {"lo": 3}}}, "parameters.a.lo is unknown"),
        ({"command": ["true", "{input}", "{output}"], "parameters": {"a": PARAMETER}}, r"\{a\} is nowhere in it"),
        ({"command": ["true", "{input}", "{output}"], "timeout": 0}, "timeout: 0, expected a number above 0"),
        ({"command": ["true", "{input}", "{output}"], "output_format": "exe"}, "output_format: 'exe', expected"),
        ({}, "the option command is missing"),
    ],
)
def test_wrong_options_are_refused(options: dict, reason: str) -> None:
    with pytest.raises(OptionsError, match=reason):
        load("command", options)


def test_a_missing_program_names_its_debian_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OptionsError, match="cwebp is not installed; Debian has it in the package webp"):
        load("command", {"command": ["cwebp", "{input}", "-o", "{output}"]})


def test_cjpeg_gives_what_pillow_gives(tmp_path: Path) -> None:
    need_program("cjpeg")
    command = ["cjpeg", "-quality", "{quality}", "-optimize", "-outfile", "{output}", "{input}"]
    quality = {"quality": {"low": 1, "high": 100, "default": 75, "integer": True}}
    pipeline = load(
        "command", {"command": command, "parameters": quality, "input_format": "ppm", "output_format": "jpg"}
    )
    photo = read_image(CLEAN / "dog.png")
    output = pipeline.run(photo, {"quality": 60})
    Image.open(CLEAN / "dog.png").save(tmp_path / "pillow.jpg", quality=60, optimize=True)
    assert output.measures["bytes"] == pytest.approx((tmp_path / "pillow.jpg").stat().st_size, rel=0.01)
    assert -10 * torch.log10((output.image - read_image(tmp_path / "pillow.jpg")).square().mean()) > 45


def test_a_run_with_a_failing_program_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fail.py").write_text("import sys; print('cannot open display', file=sys.stderr); sys.exit(1)")
    recipe = command_recipe(tmp_path, "fail.py")
    assert main(["run", str(recipe), "--out", str(tmp_path / "run"), "--quiet"]) == 1
    assert "it said: cannot open display" in capsys.readouterr().err
