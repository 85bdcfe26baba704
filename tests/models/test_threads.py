"""Calls side by side on torch's own threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelperfect_models.networks import threads
from pixelperfect_models.networks.threads import in_rows, together


@pytest.fixture(params=["openmp", "pool"], autouse=True)
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, two_threads: None) -> None:
    if request.param == "pool":
        monkeypatch.setattr(threads, "_openmp", lambda: None)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_answers_come_in_the_order_of_the_calls(count: int) -> None:
    assert together([partial(pow, index, 2) for index in range(count)]) == [x**2 for x in range(count)]


def test_every_row_is_done_once() -> None:
    done: list[int] = []
    in_rows(5, lambda rows, start, stop: rows.extend(range(start, stop)), done)
    assert sorted(done) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("error", [ZeroDivisionError, IndexError, KeyboardInterrupt])
@pytest.mark.parametrize("place", [0, 1])
def test_an_error_is_not_lost(error: type[BaseException], place: int) -> None:
    def fail() -> None:
        raise error("in one of the calls")

    calls = [lambda: None, lambda: None]
    calls[place] = fail
    with pytest.raises(error, match="in one of the calls"):
        together(calls)
    assert together([lambda: 1, lambda: 2]) == [1, 2]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """An interrupt raises KeyboardInterrupt, also in a process that a shell started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_not_lost_whenever_it_comes(interruptible: None) -> None:
    for _ in range(300):
        with pytest.raises(KeyboardInterrupt):
            together([partial(os.kill, os.getpid(), signal.SIGINT), partial(sum, range(50)), partial(sum, range(50))])
            for _ in range(100):  # at the latest here
                pass
    assert together([lambda: 1, lambda: 2]) == [1, 2]


def test_two_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2)
    assert sorted(together([lambda: both.wait(20), lambda: both.wait(20)])) == [0, 1]


def test_calls_may_share_work_themselves() -> None:
    def outer(first: int) -> list[int]:
        return together([partial(pow, first, 2), partial(pow, first, 3), partial(pow, first, 4)])

    assert together([partial(outer, number) for number in range(5)]) == [[x**2, x**3, x**4] for x in range(5)]


def test_it_can_be_called_from_several_threads() -> None:
    found: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        for _ in range(20):
            found[number] = together([lambda: number, lambda: number + 1, lambda: number + 2])

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert found == {number: [number, number + 1, number + 2] for number in range(4)}


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_no_thread_is_started_beside_those_of_torch() -> None:
    if threads._openmp() is None:
        pytest.skip("torch has no OpenMP here, or is not asked for it")
    image = torch.rand(1, 8, 256, 256)
    torch.nn.functional.conv2d(image, torch.rand(8, 8, 3, 3)).exp_()
    before = set(Path("/proc/self/task").iterdir())
    together([lambda: None, lambda: None])
    assert set(Path("/proc/self/task").iterdir()) <= before


def _squares(queue: Any) -> None:
    queue.put(together([lambda: 1, lambda: 4]))


def test_a_forked_process_has_threads_of_its_own() -> None:
    assert together([lambda: 1, lambda: 2]) == [1, 2]
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_squares, args=(queue,))
    child.start()
    child.join(30)
    try:
        assert child.exitcode == 0 and queue.get() == [1, 4]
    finally:
        child.kill()
