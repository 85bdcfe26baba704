"""Sharpening with halo control."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipelines.filters import gaussian_blur
from pipelines.isp.luma import luma
from pipelines.isp.stage import Shot, Stage
from pipelines.neighbours import extremes
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import clamped, dot, scaled

SIGMA_HIGH = 3.0


class Sharpen(Stage):
    """Unsharp mask on luma, cored, and held back where it leaves the range of the neighbours."""

    name = "sharpen"
    parameters: ClassVar[Parameters] = {
        "amount": Parameter(0.0, 3.0, 0.5, unit="factor", doc="Strength; 1 doubles the fine detail. 0 neutral."),
        "sigma": Parameter(0.5, SIGMA_HIGH, 1.0, unit="px", doc="Scale of the detail that is amplified."),
        "threshold": Parameter(
            1e-3, 0.1, 0.005, unit="intensity", log=True, doc="Detail fainter than this is left alone: less noise."
        ),
        "halo": Parameter(
            0.0, 1.0, 0.5, unit="fraction", doc="Share of the overshoot beyond the 3 x 3 neighbours taken back."
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"amount": 0.0}
    takes = "display"
    gives = "display"

    def apply(
        self, image: Tensor, shot: Shot, amount: Tensor, sigma: Tensor, threshold: Tensor, halo: Tensor
    ) -> Tensor:
        """(N, 3, H, W) to the same."""
        y = luma(image)
        detail = y - gaussian_blur(y, sigma, min(SIGMA_HIGH, (min(image.shape[-2:]) - 2) / 6.0))
        boost = scaled(_Cored.apply(detail, threshold.square()), amount)  # type: ignore[no-untyped-call]
        low, high = extremes(y)
        sharp = y + boost
        above, below = clamped(sharp - high, low=0.0), clamped(low - sharp, low=0.0)
        return image + (boost - scaled(above - below, halo))


class _Cored(torch.autograd.Function):
    """``detail^3 / (detail^2 + limit)``; limit 0-dim."""

    @staticmethod
    def forward(ctx: Any, detail: Tensor, limit: Tensor) -> Tensor:
        square = detail * detail
        share = square / (square + limit)
        ctx.save_for_backward(detail, limit, share)
        return detail * share

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        detail, limit, share = ctx.saved_tensors
        to_limit = None
        if ctx.needs_input_grad[1]:
            to_limit = -dot(detail * share / (detail * detail + limit), gradient)
        return (share * -2.0).add_(3.0).mul_(share).mul_(gradient), to_limit
