"""The allocator setting works where it can and says so where it cannot."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from pixelperfect_models import allocator


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_takes_all_three_settings() -> None:
    assert allocator.tune_allocator() is True


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.tune_allocator() is False


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_unused_memory_goes_back_to_the_system() -> None:
    # In a process of its own: what lies at the end of this one's heap is not known.
    script = """
import numpy as np
from pixelperfect_models import allocator
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
allocator.tune_allocator()
blocks = [np.ones(1 << 17) for _ in range(200)]
kept = blocks[-1]
del blocks
before = resident()
allocator.release_unused()
print(before - resident())
"""
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert int(out.stdout) > 100 * 2**20


def test_nothing_is_called_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)  # calling it would raise
    allocator.release_unused()
