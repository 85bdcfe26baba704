"""Dehazing: the veil of scattered light is taken away."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipelines.filters import gaussian_blur
from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters

SIGMA = 8.0
"""Scale of the veil, pixels."""


class Dehaze(Stage):
    """Takes away a share of the local dark channel as a white veil. Source: the dark channel of He, Sun and Tang 2009,
    smoothed by a Gaussian instead of soft matting, with airlight 1."""

    name = "dehaze"
    parameters: ClassVar[Parameters] = {
        "amount": Parameter(0.0, 0.9, 0.0, unit="fraction", doc="Share of the veil that is taken away. 0 neutral."),
    }
    neutral: ClassVar[dict[str, float]] = {"amount": 0.0}
    takes = "display"
    gives = "display"

    def apply(self, image: Tensor, shot: Shot, amount: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        dark = image.clamp(0.0, 1.0).amin(1, keepdim=True)
        sigma = min(SIGMA, (min(image.shape[-2:]) - 2) / 6.0)  # the mirrored border must fit into the picture
        veil = amount * gaussian_blur(dark, dark.new_tensor(sigma), sigma)
        return (image - veil) / (1.0 - veil).clamp(min=0.1)
