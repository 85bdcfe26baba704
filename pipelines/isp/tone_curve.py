"""The tone curve: linear light to sRGB's encoding, with gamma and contrast."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters


def srgb_encode(linear: Tensor) -> Tensor:
    """Linear light to sRGB, any shape. Source: IEC 61966-2-1. Goes on as a straight line below 0."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


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
        encoded = srgb_encode(image)
        powered = encoded * encoded.clamp(min=1e-4) ** (gamma - 1.0)
        # A cubic through 0, the pivot and 1 that is added to the identity. So scaled that for |contrast| <= 1 the curve
        # rises at either end, and with that everywhere: tones never change places.
        inside = powered.clamp(0.0, 1.0)
        cubic = inside * (1.0 - inside) * (inside - pivot) / torch.maximum(pivot, 1.0 - pivot)
        return powered + contrast * cubic
