"""Ctrl-C and SIGTERM that wait until what is being written is written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _State:
    """Signals are the process's, and so is this."""

    depth = 0
    pending = False


@contextmanager
def handled() -> Iterator[None]:
    """Within, SIGINT and SIGTERM raise KeyboardInterrupt, but not inside :func:`shielded`.

    SIGTERM too, since batch systems send it. In another thread than the main one this does nothing: only the main
    thread may set handlers, and only it receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _on_signal) for number in _SIGNALS}
    _State.pending = False
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Iterator[None]:
    """Let the block finish: an interrupt that arrives within :func:`handled` is raised at its end.

    A KeyboardInterrupt in the middle of a study's bookkeeping would leave locks and half records behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    if _State.depth == 0 and _State.pending:
        _State.pending = False
        raise KeyboardInterrupt


def pending() -> bool:
    """True when an interrupt has arrived within :func:`shielded` and waits for its end."""
    return _State.pending


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _State.depth:
        _State.pending = True
    else:
        raise KeyboardInterrupt
