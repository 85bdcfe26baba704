"""Sums over a picture's maps, of values about neutral and of their fourth powers, each sign apart."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from pixelperfect_models.networks.compiled import as_rows, blank, by_tensors, each, kernels

_kernels = partial(kernels, "map_kernels")


def signed_sums(maps: torch.Tensor) -> torch.Tensor:
    """(N, K, h, w), float32 in [0, 1] on a CPU, to sums (3, N, K), float64, by a compiled function.

    With ``s = 2 maps - 1``: of ``s``, of ``max(s, 0)^4`` and of ``max(-s, 0)^4``.
    """
    return _SignedSums.apply(maps)  # type: ignore[no-any-return, no-untyped-call]


class _SignedSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(maps)
        return torch.from_numpy(np.stack([_kernels().signed_sums(x, maps.shape[1]) for x in as_rows(maps)], axis=1))

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> torch.Tensor | None:
        (maps,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return by_tensors(lambda: [_sums(maps)], [maps], [upstream])[0]
        found = blank(maps, maps.shape[1])
        given = list(upstream.transpose(0, 1).float().contiguous().numpy())
        each(_kernels().of_signed_sums, maps, as_rows(maps), given, as_rows(found))
        return found


def _sums(maps: torch.Tensor) -> torch.Tensor:
    signed = 2.0 * maps - 1.0
    powers = (signed, *(x.clamp(min=0.0).square().square() for x in (signed, -signed)))
    return torch.stack([x.double().sum((2, 3)) for x in powers])
