"""Gaussian blur (Kornia, differentiable): the baseline that every denoiser must beat."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipelines.denoise.base import SHARPEN, Denoiser
from pipelines.filters import gaussian_blur
from pipelines.parameters import Parameter, Parameters

SIGMA_HIGH = 4.0


class Gaussian(Denoiser):
    """Gaussian blur of R'G'B', the kernel ending at 12 px."""

    name = "denoise.gaussian"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "sigma": Parameter(
            0.2,
            SIGMA_HIGH,
            0.7,
            unit="px",
            log=True,
            doc="Standard deviation of the blur; at 0.2 nothing changes.",
        ),
        **SHARPEN,
    }

    def denoise(self, image: Tensor, sigma: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        return gaussian_blur(image, sigma, SIGMA_HIGH)
