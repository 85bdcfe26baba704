"""White balance, on the mosaic."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.cfa import per_color
from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters


class WhiteBalance(Stage):
    """The file's gains times the searched ones; green stays.

    What is above white is clipped there, as LibRaw does it: the sensor's colours clip at the same raw value, and
    without this saturated highlights would turn pink.
    """

    name = "white_balance"
    parameters: ClassVar[Parameters] = {
        "red": Parameter(0.5, 2.0, 1.0, unit="of the file's gain", log=True, doc="Red gain; warmer. 1 neutral."),
        "blue": Parameter(0.5, 2.0, 1.0, unit="of the file's gain", log=True, doc="Blue gain; cooler. 1 neutral."),
    }
    neutral: ClassVar[dict[str, float]] = {"red": 1.0, "blue": 1.0}
    takes = "mosaic"
    gives = "mosaic"

    def apply(self, image: Tensor, shot: Shot, red: Tensor, blue: Tensor) -> Tensor:
        """(N, 1, H, W) to the same."""
        gains = shot.white_balance.to(image) * torch.stack([red, torch.ones_like(red), blue])
        return (image * per_color(image, shot.cfa, gains)).clamp(max=1.0)
