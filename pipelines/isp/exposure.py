"""Exposure with a soft shoulder, in linear light."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters

KNEE = 0.6
"""Linear value from which the shoulder bends."""


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
        bright = image * torch.exp2(gain)
        over = (bright - KNEE).clamp(min=0.0) / (1.0 - KNEE)
        bent = KNEE + (1.0 - KNEE) * -torch.expm1(-over)
        return torch.lerp(bright, torch.where(over > 0, bent, bright), shoulder)
