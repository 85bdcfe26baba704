"""Moved to :mod:`tuner.runner`; goes away once tuner/__init__.py and tuner/cli/run.py import from there."""

from tuner.runner import Result, RunFailed, prepare, run

__all__ = ["Result", "RunFailed", "prepare", "run"]
