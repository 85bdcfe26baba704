"""Keep glibc from handing large buffers back to the system after every operation.

Convolutions allocate and free buffers of many megabytes; by default glibc maps and unmaps each of them, and the
page faults cost more than the arithmetic. Raising three thresholds makes freed buffers stay in the process
(``benchmarks/allocator.py`` measures the gain). The price is a higher resident size.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

# mallopt(3) parameter numbers, from glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3


def tune_allocator() -> bool:
    """Raise the allocator's thresholds; call before large tensors are made.

    Returns:
        True when all three were set; False where the C library is not glibc (nothing is changed then).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    # mallopt takes a C int, so the thresholds stay below 2 GiB; the mmap threshold is capped by glibc at
    # HEAP_MAX/2 = 32 MiB when set dynamically but not when set here.
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1), (_M_TOP_PAD, 1 << 28))
    return all(mallopt(name, value) == 1 for name, value in settings)


def release_unused() -> None:
    """Give memory that is free inside the heap back to the system; does nothing where the C library is not glibc.

    With the thresholds of :func:`tune_allocator` small results that outlive large temporary tensors leave the heap in
    splinters too small to use again: a loop that keeps something of each of thousands of pictures calls this now and
    then (it grew by 10 MB a set otherwise).
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
