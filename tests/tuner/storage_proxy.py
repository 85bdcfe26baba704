"""``tuner storage-proxy`` as a process of its own, for the tests of studies behind it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.tuner.command import environment


class StorageProxy:
    """Entered, it serves the storage at ``storage``; everything it said is in :attr:`said` once it is left.

    Args:
        storage: URL of a database.
        folder: where it runs.
    """

    def __init__(self, storage: str, folder: Path) -> None:
        self.storage, self.folder, self.said = storage, folder, ""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """For ``--storage``."""
        return f"grpc://127.0.0.1:{self.port}"

    def __enter__(self) -> StorageProxy:
        self.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._process.terminate()  # SIGINT is ignored by all children where the tests run in the background of a shell
        self._end()

    def start(self) -> None:
        """Start it; whoever connects waits until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tuner", "storage-proxy", self.storage, "--port", str(self.port)],
            cwd=self.folder,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )

    def restart(self) -> None:
        """``kill -9`` and start it again."""
        self._process.kill()
        self._end()
        self.start()

    def _end(self) -> None:
        self.said += self._process.communicate(timeout=30)[1]
