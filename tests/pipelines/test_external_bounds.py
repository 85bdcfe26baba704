"""What a program may leave on the disk while it runs, and that nothing outlives the tuner, however it is ended."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines import PipelineError, load
from pipelines.process import work_folder
from tests.pipelines.command_recipe import command_recipe

PICTURE = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prctl and /proc are Linux's")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def left(temporary: Path) -> list[str]:
    return sorted(path.name for path in temporary.glob("tuner-command-*"))


def running(mark: str) -> list[str]:
    return subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True).stdout.split()


def soon(done: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(done())


def program(tmp_path: Path, body: str, **options):
    script = tmp_path / "program.py"
    script.write_text(f"import os, shutil, sys, tempfile, time\nsource, target = sys.argv[1:3]\n{body}\n")
    return load("command", {"command": [sys.executable, str(script), "{input}", "{output}"], **options})


@pytest.mark.parametrize(
    "body",
    [
        "write = lambda n: open(f'{n}.bin', 'wb').write(bytes(900_000))",
        "os.makedirs('a/b'); write = lambda n: open(f'a/b/{n}.bin', 'wb').write(bytes(900_000))",
        "write = lambda n: os.write(tempfile.mkstemp()[0], bytes(900_000))",
        "write = lambda n: [open(f'{n}_{i}', 'wb').close() for i in range(225)]",
    ],
    ids=["files", "folders", "temporary", "empty"],
)
def test_files_without_end_are_stopped(tmp_path: Path, temporary: Path, body: str) -> None:
    """Four megabytes are less than five such files; one comes every 20 ms, the disk is looked at every 100 ms."""
    count = tmp_path / "count"
    body += f"\nfor n in range(10**6):\n    write(n); open({str(count)!r}, 'a').write('x'); time.sleep(0.02)"
    start = time.perf_counter()
    with pytest.raises(PipelineError, match="wrote more than 4000000 bytes in all and was ended; it said nothing"):
        program(tmp_path, body, timeout=30, most_megabytes=1)(PICTURE)
    assert time.perf_counter() - start < 10
    assert 4 <= len(count.read_text()) < 100
    assert left(temporary) == []


def test_what_a_program_wrote_in_no_time_counts_too(tmp_path: Path) -> None:
    body = "for n in range(9): open(f'{n}.bin', 'wb').write(bytes(900_000))\nshutil.copy(source, target)"
    with pytest.raises(PipelineError, match="wrote more than 4000000 bytes in all"):
        program(tmp_path, body, most_megabytes=1)(PICTURE)


def test_files_within_the_limit_are_fine(tmp_path: Path) -> None:
    body = "for n in range(3): open(f'{n}.bin', 'wb').write(bytes(900_000))\nshutil.copy(source, target)"
    assert torch.allclose(program(tmp_path, body, most_megabytes=1)(PICTURE), PICTURE, atol=1e-6)


def hang(tmp_path: Path, mark: str) -> Path:
    """A recipe whose program starts a child that nobody waits for, says so in ``tmp_path/started``, and hangs."""
    (tmp_path / "hang.py").write_text(
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(120)', '{mark}_child'])\n"
        f"open({str(tmp_path / 'started')!r}, 'w').close()\n"
        "time.sleep(120)\n"
    )
    return command_recipe(tmp_path, "hang.py", f"{mark}_parent", timeout=100.0)


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_tuner_that_is_ended_leaves_nothing(tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    """Killed, it cannot tidy up: its program dies with it, its folder and the program's child at the next start."""
    mark = f"ended_{time.time_ns()}"
    arguments = ["run", str(hang(tmp_path, mark)), "--out", str(tmp_path / "run"), "--quiet"]
    tuner = subprocess.Popen(
        [sys.executable, "-m", "tuner", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert soon(lambda: (tmp_path / "started").exists() or tuner.poll() is not None, 120)
        assert tuner.poll() is None
        assert len(left(temporary)) == 1 and running(f"{mark}_parent") and running(f"{mark}_child")
        tuner.send_signal(number)
        tuner.wait(30)
    finally:
        tuner.kill()
        tuner.wait()
    assert soon(lambda: not running(f"{mark}_parent"), 5)
    if number == signal.SIGKILL:
        assert len(left(temporary)) == 1
        assert torch.allclose(program(tmp_path, "shutil.copy(source, target)")(PICTURE), PICTURE, atol=1e-6)
    assert left(temporary) == []
    assert running(mark) == []


@LINUX
def test_only_folders_that_are_ours_and_nobodys_are_swept(tmp_path: Path, temporary: Path) -> None:
    for name in ("dead", "living", "foreign", "pipe"):
        (temporary / f"tuner-command-{name}").mkdir()
        (temporary / f"tuner-command-{name}" / "input.png").touch()
    for name in ("dead", "living"):
        (temporary / f"tuner-command-{name}" / ".owner").touch()
    os.mkfifo(temporary / "tuner-command-pipe" / ".owner.pipe")
    (temporary / "tuner-command-pipe" / ".owner").symlink_to(".owner.pipe")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(temporary / "tuner-command-dead", elsewhere)
    (temporary / "tuner-command-link").symlink_to(elsewhere)
    (temporary / "tuner-command-file").touch()
    with (temporary / "tuner-command-living" / ".owner").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program(tmp_path, "shutil.copy(source, target)")(PICTURE)
    assert left(temporary) == [f"tuner-command-{name}" for name in ("file", "foreign", "link", "living", "pipe")]
    assert (elsewhere / "input.png").exists()


@LINUX
@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")
def test_another_users_folder_is_not_swept(tmp_path: Path, temporary: Path) -> None:
    other = temporary / "tuner-command-other"
    other.mkdir()
    (other / ".owner").touch()
    os.chown(other, 65534, 65534)
    program(tmp_path, "shutil.copy(source, target)")(PICTURE)
    assert left(temporary) == [other.name]


def test_a_folder_in_use_is_locked(temporary: Path) -> None:
    with work_folder() as folder:
        assert folder.parent == temporary
        with (folder / ".owner").open("rb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert left(temporary) == []


def test_a_program_that_a_thread_started_lives_as_long_as_it_needs(tmp_path: Path) -> None:
    """The signal for a parent's death comes when the thread ends that started the program, which waits for it."""
    pipeline = program(tmp_path, "time.sleep(0.5); shutil.copy(source, target)")
    found: list[torch.Tensor] = []
    threads = [threading.Thread(target=lambda: found.append(pipeline(PICTURE))) for _ in range(2)]
    for thread in threads:
        thread.start()
    threading.Thread(target=time.sleep, args=(0.1,)).start()  # another one that ends meanwhile
    for thread in threads:
        thread.join()
    assert len(found) == 2 and all(torch.allclose(each, PICTURE, atol=1e-6) for each in found)
