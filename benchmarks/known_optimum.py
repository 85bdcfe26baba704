"""A pipeline whose best parameters are known: the reference is its own output at ``OPTIMUM``."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipelines import Pipeline
from pipelines.filters import gaussian_blur
from pipelines.parameters import Parameter, Parameters

OPTIMUM = {"red": 1.13, "blue": 0.88, "gamma": 1.22, "saturation": 1.27, "amount": 0.7, "sigma": 1.3}
"""Parameters at which the references are made; there the objective is 0, and nowhere is it more."""

_LARGEST_SIGMA = 3.0


class Develop(Pipeline):
    """White balance, tone, saturation and an unsharp mask on 8 bits; searched as a black box."""

    name = "develop"
    parameters: ClassVar[Parameters] = {
        "red": Parameter(0.7, 1.4, 1.0, log=True, doc="Gain of red."),
        "blue": Parameter(0.7, 1.4, 1.0, log=True, doc="Gain of blue."),
        "gamma": Parameter(0.6, 1.7, 1.0, log=True, doc="Exponent of the tone curve; larger is darker."),
        "saturation": Parameter(0.4, 1.8, 1.0, doc="Distance from grey."),
        "amount": Parameter(0.0, 2.0, 0.0, doc="Strength of the unsharp mask."),
        "sigma": Parameter(0.5, _LARGEST_SIGMA, 1.0, unit="px", doc="Its scale."),
    }

    def process(
        self, image: Tensor, red: float, blue: float, gamma: float, saturation: float, amount: float, sigma: float
    ) -> Tensor:
        """(N, 3, H, W) to the same, rounded to 8 bits as the reference file is, so that the optimum is exact."""
        toned = (image * image.new_tensor([red, 1.0, blue]).view(3, 1, 1)).clamp(0.0, 1.0) ** gamma
        grey = toned.mean(1, keepdim=True)
        colour = grey + saturation * (toned - grey)
        sharp = colour + amount * (colour - gaussian_blur(colour, torch.tensor(sigma), _LARGEST_SIGMA))
        return (sharp.clamp(0.0, 1.0) * 255.0).round() / 255.0
