"""``kill -9`` of servers, runs and workers at random moments, by ``benchmarks/kill_test.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need
from tests.tuner.command import environment
from tests.tuner.postgres import binaries

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "proxy"])
def test_no_kill_loses_a_trial_of_a_study_on_a_server(kind: str) -> None:
    need(binaries() is not None, "PostgreSQL is missing: apt-get install postgresql")
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/kill_test.py", "--kills", "3", "--trials", "60", "--only", kind],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    heads, figures = (line.split("\t") for line in done.stdout.splitlines())
    found = dict(zip(heads, figures, strict=True))
    assert found["completed"] == found["asked for"] == "60" and found["lost"] == found["running"] == "0"
    assert found["count"] == "exact"
