"""Running the command line as a person would: another process, its exit code and what it printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the working tree importable and one thread."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def tuner(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``tuner ARGUMENTS`` in the folder ``cwd``."""
    command = [sys.executable, "-m", "tuner", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)
