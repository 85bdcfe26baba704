"""Running a program that is not trusted to behave: bounded in time, output and memory, and never left behind."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

GRACE_S = 1.0
"""Seconds between asking a program to end and killing it."""
_TAIL = 400
_MARK = "TUNER_TRIAL"
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")


class ProgramError(Exception):
    """A program did not do its work; the message is one line that says why, with the end of its standard error."""


def run_program(arguments: Sequence[str], folder: Path, timeout: float, most_bytes: int, memory: int) -> None:
    """Run a program in ``folder`` and wait for it.

    It gets its own session (so that Ctrl-C reaches it through us alone and its children can be killed with it), no
    standard input, a C locale, and limits: no file larger than ``most_bytes``, standard error among them; no more than
    ``memory`` bytes of address space.

    Args:
        arguments: program and arguments; never a shell's line.
        folder: where it runs.
        timeout: seconds until the whole process group is ended.
        most_bytes: largest file it may write.
        memory: address space in bytes.

    Raises:
        ProgramError: it could not be started, took too long, was ended by a signal, or exited with another code than 0.
    """
    name = Path(arguments[0]).name
    said = folder / ".stderr"
    environment = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    mark = f"{_MARK}={uuid.uuid4().hex}"  # by which children are found that left the process group
    environment |= dict([mark.split("=")])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with said.open("wb") as stderr:
        try:
            program = subprocess.Popen(
                list(arguments),
                cwd=folder,
                env={**environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=limit,
            )
        except OSError as error:
            raise ProgramError(f"{name} cannot be started ({error.strerror})") from None
        try:
            code = program.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{name} was still running after {timeout:g} s and was ended{_said(said)}") from None
        finally:
            _end_group(program)
            _end_strays(mark)
    if code < 0:
        why = {signal.SIGXFSZ: f" (it wrote more than {most_bytes} bytes)", signal.SIGKILL: " (out of memory?)"}
        raise ProgramError(f"{name} was ended by signal {-code}{why.get(signal.Signals(-code), '')}{_said(said)}")
    if code > 0:
        raise ProgramError(f"{name} exited with code {code}{_said(said)}")


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
    """Kill the processes that were started with ``mark`` in their environment (where there is /proc: on Linux).

    A daemon has left the process group, but has its parent's environment all the same.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone in the meantime, or another user's
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def _said(path: Path) -> str:
    """The end of what was written to standard error, on one line."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4 * _TAIL))
        text = " ".join(stream.read(4 * _TAIL).decode("utf-8", "replace").split())
    return f"; it said: {text[-_TAIL:]}" if text else "; it said nothing"
