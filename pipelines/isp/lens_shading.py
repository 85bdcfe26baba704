"""Lens shading correction, on the mosaic."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters


class LensShading(Stage):
    """Gain ``1 + quadratic * r^2 + quartic * r^4`` with r from 0 at the frame's centre to 1 in its corners.

    Source: the radial polynomial of DNG's FixVignetteRadial opcode (Adobe DNG 1.7), its first two terms.
    """

    name = "shading"
    parameters: ClassVar[Parameters] = {
        "quadratic": Parameter(-0.5, 2.0, 0.0, unit="gain", doc="Brightens towards the corners. 0 neutral."),
        "quartic": Parameter(-0.5, 2.0, 0.0, unit="gain", doc="The same, in the corners alone. 0 neutral."),
    }
    neutral: ClassVar[dict[str, float]] = {"quadratic": 0.0, "quartic": 0.0}
    takes = "mosaic"
    gives = "mosaic"

    def apply(self, image: Tensor, shot: Shot, quadratic: Tensor, quartic: Tensor) -> Tensor:
        """(N, 1, H, W) to the same."""
        rows, columns = image.shape[-2:]
        top, left, height, width = shot.frame or (0, 0, rows, columns)
        y = torch.arange(rows).to(image) + (top + 0.5 - height / 2)
        x = torch.arange(columns).to(image) + (left + 0.5 - width / 2)
        squared = (y[:, None] ** 2 + x[None, :] ** 2) / ((height / 2) ** 2 + (width / 2) ** 2)
        return image * (1.0 + quadratic * squared + quartic * squared**2)
