"""Guided filter, each plane its own guide, luma and chroma apart (differentiable)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipelines.color import from_ycbcr, plane_values, to_ycbcr
from pipelines.denoise.base import SHARPEN, Denoiser
from pipelines.guided_filter import guided_filter
from pipelines.parameters import Parameter, Parameters


class Guided(Denoiser):
    """Self-guided filter of Y', Cb and Cr (He, Sun and Tang, Guided image filtering, TPAMI 2013).

    Where the local variance of a plane is far below ``eps`` the plane becomes its local mean; where it is far
    above, it stays. ``eps`` is a variance: 0.0025 is a standard deviation of 0.05.
    """

    name = "denoise.guided"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "radius": Parameter(1, 8, 2, unit="px", integer=True, doc="The window is 2 * radius + 1 wide."),
        "eps": Parameter(
            1e-5,
            0.1,
            0.004,
            unit="intensity^2",
            log=True,
            doc="Luma variance below which a window is smoothed.",
        ),
        "chroma_eps": Parameter(
            1e-5,
            0.1,
            0.004,
            unit="intensity^2",
            log=True,
            doc="Chroma variance below which a window is smoothed.",
        ),
        **SHARPEN,
    }

    def denoise(self, image: Tensor, radius: int, eps: Tensor, chroma_eps: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        # One grey guide a plane: four times cheaper than an RGB guide, and the planes' eps may differ.
        planes = to_ycbcr(image)
        grey = planes.reshape(-1, 1, *planes.shape[2:])
        variances = plane_values(eps, chroma_eps).view(3).repeat(image.shape[0])
        return from_ycbcr(guided_filter(grey, grey, 2 * radius + 1, variances).view_as(planes))
