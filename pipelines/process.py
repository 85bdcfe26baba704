"""Running a program that is not trusted to behave: bounded in time, files and memory, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

GRACE_S = 1.0
"""Seconds between asking a program to end and killing it."""
FILES = 4
"""All files of a program together may be so many times the largest that it may write."""
SAID = 400
"""Characters kept of what a program said: the last ones."""
_LOOK_S = 0.1
"""Seconds between two looks at the disk that a program uses."""
_ENTRY = 4096
"""Bytes that a file or folder counts at least: endlessly many empty ones fill a disk too."""
_PREFIX = "tuner-command-"
_OWNER = ".owner"
"""File in a work folder whose lock is held by the process that the folder is for."""
_MARK = "TUNER_TRIAL"
_ENVIRONMENT = ("PATH", "HOME", "LD_LIBRARY_PATH")
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_LIBC = ctypes.PyDLL(None) if sys.platform == "linux" else None
"""The C library, looked up before any fork; a PyDLL keeps the interpreter's lock, which a fork must not let go."""


class ProgramError(Exception):
    """A program did not do its work; the message is one line that says why, with the end of its standard error.

    Attributes:
        said: that end alone; empty where it said nothing.
    """

    def __init__(self, why: str, said: str = "") -> None:
        super().__init__(why + quoted(said))
        self.said = said


def quoted(said: str) -> str:
    """What a program said, as the end of a message; at most :data:`SAID` characters of it."""
    return f"; it said: {said[-SAID:]}" if said else "; it said nothing"


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A folder for programs to work in, removed afterwards.

    A process that is killed cannot remove its folders. The first of each process removes those that are locked by
    nobody any more, and kills the programs that still run for them.
    """
    _sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, (Path(name) / ".new").open("wb") as lock:
        # The lock says that the owner lives: the system lets it go with the process, however that ends, and unlike a
        # process number it is of nobody else afterwards, or in another container that shares the folder.
        with contextlib.suppress(OSError):  # a file system without locks: the folder is never taken for a dead one's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(lock.name).rename(Path(name) / _OWNER)  # only now, so that nobody finds it without its lock
        yield Path(name)


def run_program(arguments: Sequence[str], folder: Path, timeout: float, most_bytes: int, memory: int) -> str:
    """Run a program in ``folder`` and wait for it.

    It gets its own session (so that Ctrl-C reaches it through us alone and its children can be killed with it), no
    standard input, a C locale, ``folder`` for its temporary files, and limits: no file larger than ``most_bytes``,
    standard error among them; no more than :data:`FILES` times that in ``folder`` altogether, beyond what was there;
    no more than ``memory`` bytes of address space in each process.

    Args:
        arguments: program and arguments; never a shell's line.
        folder: where it runs, from :func:`work_folder`.
        timeout: seconds until the whole process group is ended.
        most_bytes: largest file it may write.
        memory: address space in bytes; of each process, so a program that forks has it more than once.

    Returns:
        The end of what it wrote to standard error, on one line, without the name of the folder; mostly empty.

    Raises:
        ProgramError: it could not be started, took too long, wrote too much, was ended by a signal, or exited with
            another code than 0.
    """
    name = Path(arguments[0]).name
    environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    # By the mark children are found that left the process group.
    environment |= {"LC_ALL": "C", "TMPDIR": str(folder), _MARK: folder.name}
    parent = os.getpid()
    most_in_all = FILES * most_bytes
    before = _used(folder)

    def prepare() -> None:
        _die_with(parent)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryFile(dir=folder) as stderr:  # without a name, so the program cannot put a pipe in its place
        try:
            try:
                program = subprocess.Popen(
                    list(arguments),
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                    preexec_fn=prepare,
                )
            except OSError as error:
                raise ProgramError(f"{name} cannot be started ({error.strerror})") from None
            try:
                over = _wait(program, timeout, folder, before + most_in_all)
            finally:
                _end_group(program)
        finally:
            _end_strays(folder.name)
        code, said = program.returncode, _end_of(stderr, folder)
    if over == "disk":
        raise ProgramError(f"{name} wrote more than {most_in_all} bytes in all and was ended", said)
    if over == "time":
        raise ProgramError(f"{name} was still running after {timeout:g} s and was ended", said)
    if code < 0:
        why: dict[int, str] = {
            signal.SIGXFSZ: f" (it wrote more than {most_bytes} bytes)",
            signal.SIGKILL: " (out of memory?)",
        }
        raise ProgramError(f"{name} was ended by signal {-code}{why.get(-code, '')}", said)
    if code > 0:
        raise ProgramError(f"{name} exited with code {code}", said)
    return said


def _die_with(parent: int) -> None:
    """Called in a program's process before it is one: it is killed when its parent dies (on Linux).

    The system sends the signal when the *thread* dies that started the program. That is right here: it waits in
    :func:`run_program` until the program is gone, so it cannot end before that unless the process does.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != parent:  # it died just before
            os._exit(1)


def _wait(program: subprocess.Popen[bytes], timeout: float, folder: Path, most: int) -> str:
    """Wait until a program is done. Returns "time" or "disk" when it has had too much of that, else ""."""
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(min(_LOOK_S, max(0.0, left)))
        if _used(folder, most) > most:
            return "disk"
        if program.returncode is not None:
            return ""
        if left <= 0:
            return "time"


def _used(folder: Path, enough: int | None = None) -> int:
    """Bytes of all that is in a folder and the folders in it; counts no further than just above ``enough``."""
    total = 0
    left = [str(folder)]
    while left:
        with contextlib.suppress(OSError), os.scandir(left.pop()) as entries:  # gone in the meantime
            for entry in entries:
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    total += max(found.st_size, 512 * found.st_blocks, _ENTRY)
                    if stat.S_ISDIR(found.st_mode):
                        left.append(entry.path)
                if enough is not None and total > enough:
                    return total
    return total


def _end_group(program: subprocess.Popen[bytes]) -> None:
    """End the program and every child it left in its process group."""
    for number, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(program.pid, number)
        except ProcessLookupError:
            break
        except PermissionError:  # macOS says so of a group of zombies
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(patience)
    program.wait()


def _end_strays(mark: str) -> None:
    """Kill the processes that were started with ``mark`` in their environment, and wait until they are gone.

    A daemon has left the process group, but has its parent's environment all the same. Needs /proc: on Linux alone.
    """
    wanted = f"{_MARK}={mark}".encode()
    deadline = time.monotonic() + GRACE_S
    while True:
        found = False
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # gone in the meantime, or another user's
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    found = True
        if not found or time.monotonic() > deadline:
            return
        time.sleep(0.01)  # and once more: it may have had a child a moment ago


@functools.cache
def _sweep(root: Path) -> None:
    """Remove the work folders of dead processes below ``root``, and kill what still runs for them; once a process.

    Only folders of this user that hold an owner's file which nobody locks: those are ours for certain, and nobody's.
    """
    for folder in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # not one of ours, its owner lives, or it is gone in the meantime
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            lock = os.open(folder / _OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _end_strays(folder.name)
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def _end_of(stream: IO[bytes], folder: Path) -> str:
    """The end of what was written to a file, on one line."""
    size = os.fstat(stream.fileno()).st_size
    text = os.pread(stream.fileno(), 4 * SAID, max(0, size - 4 * SAID)).decode("utf-8", "replace")
    return " ".join(text.replace(f"{folder}/", "").split())[-SAID:]
