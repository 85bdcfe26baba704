"""From the camera's colours to linear sRGB."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters


class ColorMatrix(Stage):
    """The colour matrix (CCM) of the file's metadata; grey stays grey at any strength."""

    name = "color_matrix"
    parameters: ClassVar[Parameters] = {
        "strength": Parameter(
            0.0,
            1.5,
            1.0,
            unit="fraction",
            doc="0: camera colours; 1: the file's matrix, neutral; above: too much.",
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"strength": 1.0}
    takes = "camera"
    gives = "linear"

    def apply(self, image: Tensor, shot: Shot, strength: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        matrix = torch.lerp(torch.eye(3).to(image), shot.color_matrix.to(image), strength)
        return torch.einsum("rc,nchw->nrhw", matrix, image)
