"""Joint bilateral filter, guided by a blurred copy of the picture (Kornia, differentiable)."""

from __future__ import annotations

from typing import ClassVar

import torch
from kornia.filters import joint_bilateral_blur
from torch import Tensor

from pipelines.denoise.base import SHARPEN, Denoiser
from pipelines.filters import gaussian_blur
from pipelines.parameters import Choice, Parameter, Parameters

GUIDE_SIGMA_HIGH = 3.0


class JointBilateral(Denoiser):
    """Bilateral filter whose colour weights come from a Gaussian-blurred guide.

    The guide has less noise than the picture, so strong noise is averaged where a plain bilateral filter
    keeps it as if it were detail; the first step of the rolling guidance filter (Zhang et al., ECCV 2014).
    Colour distance is Euclidean over R'G'B'.
    """

    name = "denoise.joint_bilateral"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "sigma_color": Parameter(
            0.01,
            0.4,
            0.08,
            unit="intensity",
            log=True,
            doc="Differences in the guide well below this are smoothed.",
        ),
        "sigma_space": Parameter(
            0.5, 6.0, 1.5, unit="px", doc="Reach of the mean; from about half the window on it is a box."
        ),
        "guide_sigma": Parameter(
            0.3,
            GUIDE_SIGMA_HIGH,
            0.8,
            unit="px",
            log=True,
            doc="Blur of the guide; structures smaller are smoothed.",
        ),
        "window": Choice(
            (3, 5, 7, 9, 11), 5, unit="px", doc="Side of the window; time and memory grow with its square."
        ),
        **SHARPEN,
    }

    def denoise(
        self, image: Tensor, sigma_color: Tensor, sigma_space: Tensor, guide_sigma: Tensor, window: int
    ) -> Tensor:
        """(N, 3, H, W) to the same."""
        guide = gaussian_blur(image, guide_sigma, GUIDE_SIGMA_HIGH)
        reach = torch.stack([sigma_space, sigma_space]).view(1, 2)
        return joint_bilateral_blur(image, guide, window, sigma_color.view(1), reach, color_distance_type="l2")
