"""Functions compiled to machine code at their first call and kept on disk for later processes, and when to use them.

They have no gradient: every one has a counterpart on tensors, which defines what it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch

Function = TypeVar("Function", bound=Callable)
Result = TypeVar("Result")

_BY_TENSORS: ContextVar[bool] = ContextVar("_BY_TENSORS", default=False)


def compiled(function: Function) -> Function:
    """``numba.njit`` that lets other threads run meanwhile, its code kept beside the source or in the user's cache."""
    import numba  # takes half a second: only processes that judge pictures wait for it

    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither place can be written to
        return numba.njit(nogil=True, error_model="numpy")(function)


@contextmanager
def by_tensors(wanted: bool = True) -> Iterator[None]:
    """Within this no compiled functions are used, if ``wanted``.

    For the picture that asks for no gradient, beside one that does: equal pictures are exactly alike only where both
    went through the same arithmetic.
    """
    before = _BY_TENSORS.set(wanted or _BY_TENSORS.get())
    try:
        yield
    finally:
        _BY_TENSORS.reset(before)


def compiles(
    *tensors: torch.Tensor, kinds: tuple[torch.dtype, ...] = (torch.float32,), differentiable: bool = False
) -> bool:
    """Whether compiled functions can take these: of one of ``kinds`` and on a CPU.

    Those that are not ``differentiable`` can only where no gradient is asked for.
    """
    if _BY_TENSORS.get() or (asks_for_gradient(*tensors) and not differentiable):
        return False
    plain = all(type(x) is torch.Tensor and x.device.type == "cpu" and x.dtype in kinds for x in tensors)
    transformed = torch._C._functorch.peek_interpreter_stack() is not None  # torch.func's grad, jvp, vmap
    return plain and not (transformed or torch._C._get_tracing_state() or torch.compiler.is_compiling())


def asks_for_gradient(*tensors: torch.Tensor) -> bool:
    """Whether what is computed from these can be differentiated."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def as_rows(batch: torch.Tensor) -> list[np.ndarray]:
    """Each picture of (N, C, h, w) as (h, w * C), channels last; bfloat16 by its bits, in uint16.

    Memory is shared where channels are last already, so that what is written there is in ``batch``.
    """
    rows = [picture.permute(1, 2, 0).contiguous().flatten(1) for picture in batch.detach()]
    return [(row.view(torch.uint16) if row.dtype == torch.bfloat16 else row).numpy() for row in rows]


def in_rows(rows: int, kernel: Callable[..., None], *arguments: Any) -> None:
    """``kernel(*arguments, start, stop)`` for all of ``rows``, shared by as many threads as torch has."""
    threads = min(torch.get_num_threads(), rows)
    cuts = pairwise(rows * part // threads for part in range(threads + 1))
    together([partial(kernel, *arguments, *cut) for cut in cuts])


def together(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """What calls to compiled functions give, made on as many threads as torch has, the first of them on this one."""
    threads = torch.get_num_threads()
    if threads == 1 or len(calls) == 1:
        return [call() for call in calls]
    others = [_pool(os.getpid(), threads - 1).submit(call) for call in calls[1:]]
    return [calls[0](), *(other.result() for other in others)]


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # By process: threads do not survive a fork.
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")
