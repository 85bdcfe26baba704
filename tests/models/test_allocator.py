"""The allocator setting works where it can and says so where it cannot."""

from __future__ import annotations

import platform

import pytest

from pixelperfect_models import allocator


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_takes_all_three_settings() -> None:
    assert allocator.tune_allocator() is True


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.tune_allocator() is False
