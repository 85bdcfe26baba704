"""Exposure with a soft shoulder, in linear light."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipelines.isp.stage import Shot, Stage, fixed_at
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import dot, scaled

KNEE = 0.6
"""Linear value from which the shoulder slopes."""


class Exposure(Stage):
    """Gain in linear light; what comes near white is bent towards it instead of clipped."""

    name = "exposure"
    parameters: ClassVar[Parameters] = {
        "gain": Parameter(-3.0, 3.0, 0.0, unit="EV", doc="Brighter by so many stops. 0 neutral."),
        "shoulder": Parameter(0.0, 1.0, 0.0, unit="fraction", doc="How much highlights are rolled off. 0 neutral."),
    }
    neutral: ClassVar[dict[str, float]] = {"gain": 0.0, "shoulder": 0.0}
    takes = "linear"
    gives = "linear"

    def apply(self, image: Tensor, shot: Shot, gain: Tensor, shoulder: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        bright = scaled(image, torch.exp2(gain))
        return bright if fixed_at(shoulder, 0.0) else _Shoulder.apply(bright, shoulder)  # type: ignore[no-untyped-call]


class _Shoulder(torch.autograd.Function):
    """``x + share * (bent - x)``; ``bent`` is x up to the knee and goes on as an exponential towards 1."""

    @staticmethod
    def forward(ctx: Any, bright: Tensor, share: Tensor) -> Tensor:
        over = (bright - KNEE).clamp_(min=0.0).mul_(1.0 / (1.0 - KNEE))
        slope = torch.exp(-over)  # the slope of what is bent; 1 up to the knee
        ctx.save_for_backward(over, slope, share)
        return _bent(over, slope).mul_(share).add_(bright)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        over, slope, share = ctx.saved_tensors
        to_bright = slope.sub(1.0).mul_(share).add_(1.0).mul_(gradient)
        return to_bright, dot(_bent(over, slope), gradient) if ctx.needs_input_grad[1] else None


def _bent(over: Tensor, slope: Tensor) -> Tensor:
    """What the full shoulder adds: negative, and 0 up to the knee."""
    return (1.0 - slope).sub_(over).mul_(1.0 - KNEE)
