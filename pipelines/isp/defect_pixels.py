"""Defect-pixel correction, on the mosaic."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.stage import Shot, Stage
from pipelines.neighbours import extremes
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import scaled


class DefectPixels(Stage):
    """A pixel that leaves the range of its eight neighbours of the same colour is pulled back to that range.

    Smooth in the threshold: the share that is pulled back is a logistic function of how far it leaves.
    """

    name = "defect"
    parameters: ClassVar[Parameters] = {
        "strength": Parameter(0.0, 1.0, 1.0, unit="fraction", doc="Share of the excess taken away. 0 neutral."),
        "threshold": Parameter(
            0.005, 0.5, 0.1, unit="of white", log=True, doc="Excess that counts as a defect; larger keeps more detail."
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"strength": 0.0}
    takes = "mosaic"
    gives = "mosaic"

    def apply(self, image: Tensor, shot: Shot, strength: Tensor, threshold: Tensor) -> Tensor:
        """(N, 1, H, W) to the same."""
        low, high = extremes(image, step=2, centre=False)
        above, below = torch.relu(image - high), torch.relu(low - image)
        share = torch.sigmoid(scaled(above + below, 8.0 / threshold) - 8.0)
        return image - scaled(share * (above - below), strength)
