"""Corrections of the black and white level, on the mosaic."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.isp.cfa import per_color
from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters

_OFFSET = Parameter(-0.02, 0.02, 0.0, unit="of white", doc="Black level above the file's, taken away. 0 neutral.")


class BlackWhiteLevel(Stage):
    """The file's levels are taken away on reading; what is left of them, for each colour, here."""

    name = "level"
    parameters: ClassVar[Parameters] = {
        "red": _OFFSET,
        "green": _OFFSET,
        "blue": _OFFSET,
        "white": Parameter(
            0.8, 1.2, 1.0, unit="of the file's", log=True, doc="White level; more is darker. 1 neutral."
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"red": 0.0, "green": 0.0, "blue": 0.0, "white": 1.0}
    takes = "mosaic"
    gives = "mosaic"

    def apply(self, image: Tensor, shot: Shot, red: Tensor, green: Tensor, blue: Tensor, white: Tensor) -> Tensor:
        """(N, 1, H, W) to the same."""
        black = per_color(image, shot.cfa, torch.stack([red, green, blue]))
        return (image - black) / (white - black)
