"""Calls to compiled functions side by side, on the threads that torch's own operations run on.

Those threads wait for their next work by spinning for some milliseconds. Threads of any other pool would meanwhile
share the cores with them: passes between two convolutions took twice as long so. OpenMP gives a caller the same team
for every parallel region, so a region of ours runs on torch's.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from threading import local
from typing import TypeVar

import torch

Result = TypeVar("Result")

_Region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Start = Callable[[Callable[[object], None], None, int], None]

_PROCESS = os.getpid()
_this_thread = local()


def in_rows(rows: int, kernel: Callable[..., None], *arguments: object) -> None:
    """``kernel(*arguments, start, stop)`` for all of ``rows``, shared by as many threads as torch has."""
    threads = min(torch.get_num_threads(), rows)
    cuts = pairwise(rows * part // threads for part in range(threads + 1))
    together([partial(kernel, *arguments, *cut) for cut in cuts])


def together(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """What calls to compiled functions give, in their order, made on as many threads as torch has.

    They begin in their order: the longest should be first. What one of them raises is raised when all have ended. A
    call that shares work itself does all of that on its own thread.
    """
    threads = min(torch.get_num_threads(), len(calls))
    # Within a call all threads have work already; of a pool's each would wait for another.
    if threads <= 1 or getattr(_this_thread, "calling", False):
        return [call() for call in calls]
    # OpenMP's threads do not survive a fork.
    openmp = _openmp() if os.getpid() == _PROCESS else None
    if openmp is None:
        others = [_pool(os.getpid(), threads - 1).submit(_made, call) for call in calls[1:]]
        return [_made(calls[0]), *(other.result() for other in others)]
    found: dict[int, Result] = {}
    errors: list[BaseException] = []
    waiting = list(enumerate(calls))[::-1]

    def work(_: object) -> None:
        # Each thread takes the next call until none is left: a team may have fewer threads than wanted.
        while True:
            try:
                index, call = waiting.pop()
            except IndexError:
                return
            try:
                found[index] = _made(call)
            except BaseException as error:  # ctypes would print it and go on
                errors.append(error)

    start, end = openmp
    region = _Region(work)
    # This thread's share is no callback of ctypes, which would lose a KeyboardInterrupt that comes at its beginning.
    # One that comes here is raised after a call: the region has begun wherever it is to be ended.
    try:
        start(region, None, threads)
        work(None)
    finally:
        end()
    if errors:
        raise errors[0]
    return [found[index] for index in range(len(calls))]


def _made(call: Callable[[], Result]) -> Result:
    try:
        _this_thread.calling = True
        return call()
    finally:
        _this_thread.calling = False


@lru_cache(maxsize=1)
def _openmp() -> tuple[_Start, Callable[[], None]] | None:
    """How torch's OpenMP begins and ends a parallel region; None where torch has another, or none.

    The other threads of the team begin at once; who began the region does its own share, and waits for them at its end.
    """
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        # Symbols of the library that torch's depends on: whichever OpenMP that is. GNU's, and LLVM's by the same names.
        loaded = ctypes.CDLL(str(library))
        start, end = loaded.GOMP_parallel_start, loaded.GOMP_parallel_end
    except (OSError, AttributeError):
        return None
    start.argtypes = [_Region, ctypes.c_void_p, ctypes.c_uint]
    end.argtypes = []
    start.restype = end.restype = None
    return start, end


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # By process: threads do not survive a fork.
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")
