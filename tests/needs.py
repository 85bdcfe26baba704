"""What a test needs and a machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest

from pipelines.external import PACKAGES


def need(there: bool, message: str) -> None:
    """Skip, by name, where something is not there; where CI should have installed it, fail."""
    if not there:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)


def need_program(name: str) -> None:
    """:func:`need` of a program, with its Debian package where that is known."""
    how = f": apt-get install {PACKAGES[name]}" if name in PACKAGES else ""
    need(shutil.which(name) is not None, f"{name} is missing{how}")
