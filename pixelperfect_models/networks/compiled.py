"""Functions compiled to machine code at their first call and kept on disk for later processes, and when to use them.

Every one has a counterpart on tensors, which defines what it does. Some have a gradient, made by others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from pixelperfect_models.networks.threads import in_rows

Function = TypeVar("Function", bound=Callable)


def compiled(function: Function) -> Function:
    """``numba.njit`` that lets other threads run meanwhile, its code kept beside the source or in the user's cache."""
    import numba  # takes half a second: only processes that judge pictures wait for it

    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither place can be written to
        return numba.njit(nogil=True, error_model="numpy")(function)


class Passes(IntEnum):
    """Which compiled functions are used where they can be."""

    NONE = 0
    DIFFERENTIABLE = 1
    """Those that have a gradient, whether one is asked for or not."""
    ALL = 2


_AT_MOST: ContextVar[Passes] = ContextVar("_AT_MOST", default=Passes.ALL)

KINDS = (torch.float32, torch.bfloat16)
"""Types of features that compiled functions take; of anything else they take float32 alone."""


def kernels(module: str) -> Any:
    """A module of compiled functions beside this one, imported only where it is used.

    Importing numba takes half a second, and not every command judges pictures.
    """
    return import_module(f"pixelperfect_models.networks.{module}")


@contextmanager
def at_most(passes: Passes) -> Iterator[None]:
    """Within this no other compiled functions are used.

    For the picture that asks for no gradient, beside one that does: equal pictures are exactly alike only where both
    went through the same arithmetic.
    """
    before = _AT_MOST.set(min(passes, _AT_MOST.get()))
    try:
        yield
    finally:
        _AT_MOST.reset(before)


def compiles(
    *tensors: torch.Tensor,
    kinds: tuple[torch.dtype, ...] = (torch.float32,),
    differentiable: bool = False,
    weights: torch.Tensor | nn.Module | None = None,
) -> bool:
    """Whether compiled functions can take these: of one of ``kinds`` and on a CPU.

    Those that are not ``differentiable`` can only where no gradient is asked for. None has a gradient with respect to
    ``weights``.
    """
    if _AT_MOST.get() < (Passes.DIFFERENTIABLE if differentiable else Passes.ALL):
        return False
    if asks_for_gradient(*tensors) and not differentiable:
        return False
    if weights is not None and asks_for_gradient(weights):
        return False
    plain = all(type(x) is torch.Tensor and x.device.type == "cpu" and x.dtype in kinds for x in tensors)
    return plain and not (transformed() or torch._C._get_tracing_state() or torch.compiler.is_compiling())


def transformed() -> bool:
    """Whether this is within ``torch.func``'s grad, jvp or vmap, which take no function of torch's autograd."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def asks_for_gradient(*parts: torch.Tensor | nn.Module) -> bool:
    """Whether what is computed from these tensors, and with the weights of these modules, can be differentiated."""
    # Walking through a judge's weights takes some 80 µs, several times a call: not where gradients are off.
    if not torch.is_grad_enabled():
        return False
    return any(
        part.requires_grad if isinstance(part, torch.Tensor) else any(x.requires_grad for x in part.parameters())
        for part in parts
    )


def by_tensors(
    function: Callable[[], Sequence[torch.Tensor]], inputs: Sequence[torch.Tensor], upstream: Sequence[torch.Tensor]
) -> tuple[torch.Tensor | None, ...]:
    """The derivatives of ``function`` of those ``inputs`` that ask for them, without compiled functions.

    For the backward pass of a compiled function where that is to be differentiated itself.
    """
    asking = [x for x in inputs if x.requires_grad]
    with at_most(Passes.NONE):
        given = iter(torch.autograd.grad(function(), asking, upstream, create_graph=True, materialize_grads=True))
    return tuple(next(given) if x.requires_grad else None for x in inputs)


def as_rows(batch: torch.Tensor) -> list[np.ndarray]:
    """Each picture of (N, C, h, w) as (h, w * C), channels last; bfloat16 by its bits, in uint16.

    Memory is shared where channels are last already, so that what is written there is in ``batch``.
    """
    rows = [picture.permute(1, 2, 0).contiguous().flatten(1) for picture in batch.detach()]
    return [(row.view(torch.uint16) if row.dtype == torch.bfloat16 else row).numpy() for row in rows]


def blank(like: torch.Tensor, channels: int, scale: float = 1.0, kind: torch.dtype | None = None) -> torch.Tensor:
    """(N, channels, scale h, scale w), channels last, to be filled."""
    shape = (like.shape[0], channels, int(like.shape[-2] * scale), int(like.shape[-1] * scale))
    return torch.empty(shape, dtype=kind or like.dtype, memory_format=torch.channels_last)


def each(kernel: Callable[..., None], by: torch.Tensor, *arguments: Any) -> None:
    """``kernel`` for every picture, over the rows of ``by``: of arguments that are lists the picture's entry."""
    for index in range(by.shape[0]):
        own = [argument[index] if isinstance(argument, list) else argument for argument in arguments]
        in_rows(by.shape[-2], kernel, *own)
