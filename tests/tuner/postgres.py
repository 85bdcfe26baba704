"""A PostgreSQL server of a test's own: its data in a temporary folder, loopback only, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

USER = "tuner"


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres`` (Debian: package ``postgresql``); None where there is none."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


class Postgres:
    """A server; a context manager.

    Args:
        folder: an empty folder that the server's user can reach.
    """

    def __init__(self, folder: Path) -> None:
        found = binaries()
        assert found is not None
        self._binaries = found
        self._data = folder / "data"
        self._log = folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        # PostgreSQL refuses to run as root.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
            self._folder = folder

    @property
    def url(self) -> str:
        """For ``--storage``."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Postgres:
        self._run("initdb", "-D", str(self._data), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop", check=False)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c shared_buffers=16MB -c max_connections=30"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self._log), "-o", options, "-w", "-t", "120", "start")

    def restart(self) -> None:
        """Stop it at once, as a crash would, and start it again."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """``kill -9`` the server; its children see that and end."""
        number = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        user = {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid}
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe: the server would hold it open
            stderr=subprocess.DEVNULL,
            extra_groups=[] if self._user is not None else None,
            timeout=300,
            **user,  # type: ignore[arg-type]
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{program} failed ({done.returncode}); see {self._log}")
