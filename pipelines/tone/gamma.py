"""A gamma curve: the smallest pipeline, with a known optimum when a known gamma is to be undone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines.contract import Pipeline
from pipelines.parameters import Parameter, Parameters


class Gamma(Pipeline):
    """``output = input ** gamma`` on each of R', G', B'; undoes ``clean ** (1 / gamma)``."""

    name = "tone.gamma"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "gamma": Parameter(
            0.3,
            3.0,
            1.0,
            unit="exponent",
            log=True,
            doc="Above 1 darkens, below 1 brightens, 1 changes nothing.",
        )
    }

    def process(self, image: Tensor, gamma: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        # At 0 the slope in the image or in gamma is infinite: black is selected out and has gradient 0.
        lit = image > 0
        return torch.where(lit, torch.where(lit, image, 1.0) ** gamma, 0.0)
