"""Bilateral filter, luma and chroma apart (Kornia, differentiable)."""

from __future__ import annotations

from typing import ClassVar

import torch
from kornia.filters import bilateral_blur
from torch import Tensor

from pipelines.color import from_ycbcr, to_ycbcr
from pipelines.denoise.base import SHARPEN, Denoiser
from pipelines.parameters import Choice, Parameter, Parameters


class Bilateral(Denoiser):
    """Mean over a window, weighted by nearness in position and in value.

    Y' is filtered by differences of Y', (Cb, Cr) by their Euclidean distance, so that colour blotches can be
    smoothed harder than texture. A neighbour weighs
    ``exp(-distance_px**2 / (2 sigma_space**2)) * exp(-difference**2 / (2 sigma**2))``
    (Tomasi and Manduchi, Bilateral filtering for gray and color images, ICCV 1998).
    """

    name = "denoise.bilateral"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "sigma_color": Parameter(
            0.01,
            0.4,
            0.1,
            unit="intensity",
            log=True,
            doc="Luma differences well below this are taken for noise.",
        ),
        "chroma_sigma_color": Parameter(
            0.01,
            0.4,
            0.1,
            unit="intensity",
            log=True,
            doc="The same for chroma; larger removes larger colour noise.",
        ),
        "sigma_space": Parameter(
            0.5, 6.0, 1.5, unit="px", doc="Reach of the mean; from about half the window on it is a box."
        ),
        "window": Choice(
            (3, 5, 7, 9, 11), 5, unit="px", doc="Side of the window; time and memory grow with its square."
        ),
        **SHARPEN,
    }

    def denoise(
        self, image: Tensor, sigma_color: Tensor, chroma_sigma_color: Tensor, sigma_space: Tensor, window: int
    ) -> Tensor:
        """(N, 3, H, W) to the same."""
        planes = to_ycbcr(image)
        reach = torch.stack([sigma_space, sigma_space]).view(1, 2)
        luma = bilateral_blur(planes[:, :1], window, sigma_color.view(1), reach, color_distance_type="l2")
        chroma = bilateral_blur(planes[:, 1:], window, chroma_sigma_color.view(1), reach, color_distance_type="l2")
        return from_ycbcr(torch.cat([luma, chroma], dim=1))
