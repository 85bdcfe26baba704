"""The tone curve: linear light to sRGB's encoding, with gamma and contrast."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import dot, same

_LINE_END = 0.0031308  # linear: from here on the encoding is a power


def srgb_encode(linear: Tensor) -> Tensor:
    """Linear light to sRGB, any shape; differentiable once. Source: IEC 61966-2-1. A straight line also below 0."""
    return _Encode.apply(linear)  # type: ignore[no-untyped-call]


def srgb_decode(encoded: Tensor) -> Tensor:
    """sRGB to linear light, the inverse of :func:`srgb_encode`."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


class ToneCurve(Stage):
    """sRGB encoding, then a power and an S-curve about a pivot."""

    name = "tone"
    parameters: ClassVar[Parameters] = {
        "gamma": Parameter(
            0.5, 2.0, 1.0, unit="exponent", log=True, doc="On encoded values; above 1 is darker. 1 neutral."
        ),
        "contrast": Parameter(-1.0, 1.0, 0.0, unit="relative", doc="Steeper about the pivot. 0 neutral."),
        "pivot": Parameter(0.2, 0.8, 0.5, unit="intensity", doc="Encoded value that the contrast leaves as it is."),
    }
    neutral: ClassVar[dict[str, float]] = {"gamma": 1.0, "contrast": 0.0}
    takes = "linear"
    gives = "display"

    def apply(self, image: Tensor, shot: Shot, gamma: Tensor, contrast: Tensor, pivot: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        powered = _Power.apply(srgb_encode(image), gamma)  # type: ignore[no-untyped-call]
        # A cubic through 0, the pivot and 1 that is added to the identity. So scaled that for |contrast| <= 1 the curve
        # rises at either end, and with that everywhere: tones never change places.
        steepness = contrast / torch.maximum(pivot, 1.0 - pivot)
        return _Cubic.apply(powered, steepness, steepness * pivot)  # type: ignore[no-untyped-call,no-any-return]


class _Encode(torch.autograd.Function):
    """As a logarithm and an exponential the power takes a fifth of the time, and its gradient has both at hand."""

    @staticmethod
    def forward(ctx: Any, linear: Tensor) -> Tensor:
        bright = linear.clamp(min=_LINE_END)
        is_bright = same(bright, linear)
        power = bright.log().mul_(1 / 2.4).exp_()
        ctx.save_for_backward(bright, is_bright, power)
        return torch.lerp(12.92 * linear, 1.055 * power - 0.055, is_bright)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        bright, is_bright, power = ctx.saved_tensors
        slope = (power / bright).mul_(1.055 / 2.4).sub_(12.92).mul_(is_bright).add_(12.92)
        return slope.mul_(gradient)


class _Power(torch.autograd.Function):
    """``encoded * max(encoded, 1e-4) ** (gamma - 1)``: the power of gamma, as a straight line near and below 0."""

    @staticmethod
    def forward(ctx: Any, encoded: Tensor, gamma: Tensor) -> Tensor:
        base = encoded.clamp(min=1e-4)
        log, is_power = base.log(), same(base, encoded)
        factor = (log * (gamma - 1.0)).exp_()
        powered = encoded * factor
        ctx.save_for_backward(log, is_power, factor, powered, gamma)
        return powered

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        log, is_power, factor, powered, gamma = ctx.saved_tensors
        to_encoded = (is_power * (gamma - 1.0)).add_(1.0).mul_(factor).mul_(gradient)
        return to_encoded, dot(log.mul(powered), gradient) if ctx.needs_input_grad[1] else None


class _Cubic(torch.autograd.Function):
    """``x + i (1 - i) (steepness * i - offset)`` with i, the tone x inside [0, 1]."""

    @staticmethod
    def forward(ctx: Any, tone: Tensor, steepness: Tensor, offset: Tensor) -> Tensor:
        ctx.save_for_backward(tone, steepness, offset)
        inside = tone.clamp(0.0, 1.0)
        return (inside * steepness).sub_(offset).mul_(inside).mul_(1.0 - inside).add_(tone)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tone, steepness, offset = ctx.saved_tensors
        inside = tone.clamp(0.0, 1.0)
        # The slope of the cubic, -3 steepness i^2 + 2 (steepness + offset) i - offset, where it bends.
        slope = (inside * (-3.0 * steepness)).add_(2.0 * (steepness + offset)).mul_(inside).sub_(offset)
        slope.mul_(same(inside, tone)).add_(1.0)
        bump = (inside * inside).sub_(inside).mul_(gradient)  # the negative of i (1 - i), times the gradient
        return slope.mul_(gradient), -dot(bump, inside), bump.sum()
