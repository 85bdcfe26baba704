"""The command line. ``app`` is the typer application, ``main`` what the ``tuner`` script calls."""

from __future__ import annotations

from tuner.cli.app import app, main

__all__ = ["app", "main"]
