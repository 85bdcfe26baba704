"""Interrupts wait for the end of a shielded block."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tuner.interrupts import handled, shielded


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_raised_at_once_outside_and_at_the_end_of_the_outermost_shield(number: signal.Signals) -> None:
    reached: list[str] = []
    with handled():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt), shielded():
            with shielded():
                os.kill(os.getpid(), number)
                reached.append("inner")
            reached.append("outer")
        with shielded():
            reached.append("not raised twice")
    assert reached == ["inner", "outer", "not raised twice"]


def test_an_error_within_a_shield_stays_itself() -> None:
    with handled():
        with pytest.raises(RuntimeError), shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError
        with pytest.raises(KeyboardInterrupt), shielded():  # the interrupt is not lost
            pass


def test_handlers_are_put_back_and_other_threads_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    with handled():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before

    errors: list[BaseException] = []

    def work() -> None:
        try:
            with handled(), shielded():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []
