"""A MySQL server (Debian's MariaDB) of a test's own: its data in a temporary folder, loopback only, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pymysql

PROGRAMS = ("mariadb-install-db", "mariadbd")


def missing() -> str | None:
    """What is not installed (Debian: package ``mariadb-server``), or None."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return next((program for program in PROGRAMS if shutil.which(program, path=path) is None), None)


class MySql:
    """A server; a context manager.

    Args:
        folder: an empty folder that the server's user can reach.
    """

    def __init__(self, folder: Path) -> None:
        self._data = folder / "data"
        self._log = folder / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._user = pwd.getpwnam("mysql").pw_name if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``--storage``."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/tuner"

    def __enter__(self) -> MySql:
        user = [f"--user={self._user}"] if self._user else []
        install = ["mariadb-install-db", "--no-defaults", *user, f"--datadir={self._data}", "--skip-test-db"]
        subprocess.run(
            [*install, "--auth-root-authentication-method=normal"], check=True, capture_output=True, timeout=120
        )
        self.start()
        with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as connection:
            connection.cursor().execute("CREATE DATABASE tuner")
        return self

    def __exit__(self, *reason: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = ["mariadbd", "--no-defaults", f"--datadir={self._data}", f"--port={self.port}"]
        command += ["--bind-address=127.0.0.1", "--skip-name-resolve", f"--socket={self._data}/socket"]
        if self._user is not None:
            command.append(f"--user={self._user}")
        environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                pymysql.connect(host="127.0.0.1", port=self.port, user="root").close()
                return
            except pymysql.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"mariadbd does not answer; see {self._log}") from None
                time.sleep(0.1)

    def restart(self) -> None:
        """Stop it at once, as a crash would, and start it again."""
        self.kill()
        self.start()

    def kill(self) -> None:
        """``kill -9`` the server."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(60)
