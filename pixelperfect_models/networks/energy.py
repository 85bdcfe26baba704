"""Local log-energy of features, and what an encoder reads beside it: in few passes over large features, either way."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as nnf

from pixelperfect_models.networks.compiled import KINDS, as_rows, blank, by_tensors, compiles, each, kernels

LOG_SCALE, LOG_SHIFT = 0.15, 0.5
LOG_FLOOR = 5e-6  # that of 8-bit rounding, (1 / 255)^2 / 12 in the units of the input

_kernels = partial(kernels, "feature_kernels")


def log_energy(x: torch.Tensor) -> torch.Tensor:
    """Log of the energy of each channel in 4 x 4 neighbourhoods, roughly in [-1, 1].

    (N, C, H, W), even sides, to (N, C, H / 2, W / 2); of bfloat16 in float32 where it is compiled.
    """
    if _compiles(x):
        return _Energy.apply(x, False)[0]  # type: ignore[no-any-return, no-untyped-call]
    return _log_energy(x)


def log_energy_and_positive(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """:func:`log_energy`, and what of ``x`` is above zero."""
    if _compiles(x):
        return _Energy.apply(x, True)  # type: ignore[no-any-return, no-untyped-call]
    return _log_energy(x), nnf.relu(x)


def joined(x: torch.Tensor, energy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """``x`` (N, C, h, w) and ``energy`` (N, E, h, w) side by side, and the same with ``x`` above zero only."""
    if compiles(x, energy, kinds=KINDS, differentiable=True) and energy.dtype == torch.float32:
        return _Joined.apply(x, energy)  # type: ignore[no-any-return, no-untyped-call]
    return _joined(x, energy)


def _log_energy(x: torch.Tensor) -> torch.Tensor:
    energy = nnf.avg_pool2d(x * x, 4, stride=2, padding=1, count_include_pad=False)
    return LOG_SCALE * torch.log(energy + LOG_FLOOR) + LOG_SHIFT


def _joined(x: torch.Tensor, energy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    energy = energy.to(x.dtype)
    return torch.cat([x, energy], dim=1), torch.cat([nnf.relu(x), energy], dim=1)


def _compiles(x: torch.Tensor) -> bool:
    return compiles(x, kinds=KINDS, differentiable=True) and x.shape[-2] % 2 == x.shape[-1] % 2 == 0


class _Energy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, with_positive: bool) -> tuple[torch.Tensor, ...]:
        energy, positive = blank(x, x.shape[1], 0.5, torch.float32), blank(x, x.shape[1]) if with_positive else None
        rows = as_rows(x[:, :, :0] if positive is None else positive)
        each(_kernels().energy_and_positive, energy, as_rows(x), x.shape[1], as_rows(energy), rows)
        energy.add_(LOG_FLOOR)
        ctx.save_for_backward(x, energy)
        found = energy.log() if ctx.needs_input_grad[0] else energy.log_()
        found.mul_(LOG_SCALE).add_(LOG_SHIFT)
        return (found,) if positive is None else (found, positive)

    @staticmethod
    def backward(ctx: Any, of_log: torch.Tensor, *of_positive: torch.Tensor) -> tuple[torch.Tensor | None, None]:
        x, energy = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = (lambda: [_log_energy(x), nnf.relu(x)]) if of_positive else (lambda: [_log_energy(x)])
            return by_tensors(plain, [x], [of_log, *of_positive])[0], None
        found, given = blank(x, x.shape[1]), of_positive[0] if of_positive else x[:, :, :0]
        rows = [as_rows(x), x.shape[1], as_rows(of_log * (LOG_SCALE / energy)), as_rows(given), as_rows(found)]
        each(_kernels().of_energy_and_positive, energy, *rows)
        return found, None


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, energy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(x, energy)
        both, positive = (blank(x, x.shape[1] + energy.shape[1]) for _ in range(2))
        each(_kernels().join, x, as_rows(x), x.shape[1], as_rows(energy), as_rows(both), as_rows(positive))
        return both, positive

    @staticmethod
    def backward(
        ctx: Any, of_both: torch.Tensor, of_positive: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        x, energy = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = by_tensors(lambda: _joined(x, energy), [x, energy], [of_both, of_positive])
            return found[0], found[1]
        of_x, of_energy = torch.empty_like(x, memory_format=torch.channels_last), blank(energy, energy.shape[1])
        rows = [as_rows(tensor) for tensor in (of_both, of_positive, of_x, of_energy)]
        each(_kernels().of_join, x, as_rows(x), x.shape[1], *rows)
        return of_x, of_energy
