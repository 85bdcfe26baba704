"""Saturation, vibrance and hue."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.luma import from_ycc, mixed, to_ycc
from pipelines.isp.stage import Shot, Stage, fixed_at
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import scaled


class Saturation(Stage):
    """Chroma (YCbCr, BT.601) scaled and turned; luma stays."""

    name = "saturation"
    parameters: ClassVar[Parameters] = {
        "amount": Parameter(0.0, 2.0, 1.0, unit="factor", doc="Factor on chroma. 1 neutral."),
        "vibrance": Parameter(-1.0, 1.0, 0.0, unit="relative", doc="More chroma where there is little. 0 neutral."),
        "hue": Parameter(-30.0, 30.0, 0.0, unit="degrees", doc="Turns all colours. 0 neutral."),
    }
    neutral: ClassVar[dict[str, float]] = {"amount": 1.0, "vibrance": 0.0, "hue": 0.0}
    takes = "display"
    gives = "display"

    def apply(self, image: Tensor, shot: Shot, amount: Tensor, vibrance: Tensor, hue: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        y, colors = to_ycc(image)
        angle = torch.deg2rad(hue)
        cos, sin = amount * torch.cos(angle), amount * torch.sin(angle)
        turned = mixed(colors, torch.stack([cos, -sin, sin, cos]).view(2, 2))
        if not fixed_at(vibrance, 0.0):
            faintness = torch.exp(-8.0 * colors.square().sum(1, keepdim=True))
            turned = turned * (1.0 + scaled(faintness, vibrance))
        return from_ycc(y, turned)
