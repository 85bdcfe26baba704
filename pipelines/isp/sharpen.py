"""Sharpening with halo control."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipelines.filters import gaussian_blur
from pipelines.isp.luma import luma
from pipelines.isp.stage import Shot, Stage
from pipelines.neighbours import extremes
from pipelines.parameters import Parameter, Parameters

SIGMA_HIGH = 3.0


class Sharpen(Stage):
    """Unsharp mask on luma, cored, and held back where it leaves the range of the neighbours."""

    name = "sharpen"
    parameters: ClassVar[Parameters] = {
        "amount": Parameter(0.0, 3.0, 0.5, unit="factor", doc="Strength; 1 doubles the fine detail. 0 neutral."),
        "sigma": Parameter(0.5, SIGMA_HIGH, 1.0, unit="px", doc="Scale of the detail that is amplified."),
        "threshold": Parameter(
            1e-3, 0.1, 0.005, unit="intensity", log=True, doc="Detail fainter than this is left alone: less noise."
        ),
        "halo": Parameter(
            0.0, 1.0, 0.5, unit="fraction", doc="Share of the overshoot beyond the 3 x 3 neighbours taken back."
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"amount": 0.0}
    takes = "display"
    gives = "display"

    def apply(
        self, image: Tensor, shot: Shot, amount: Tensor, sigma: Tensor, threshold: Tensor, halo: Tensor
    ) -> Tensor:
        """(N, 3, H, W) to the same."""
        y = luma(image)
        detail = y - gaussian_blur(y, sigma, min(SIGMA_HIGH, (min(image.shape[-2:]) - 2) / 6.0))
        cored = detail * detail.square() / (detail.square() + threshold.square())
        sharp = y + amount * cored
        low, high = extremes(y)
        above, below = (sharp - high).clamp(min=0.0), (low - sharp).clamp(min=0.0)
        return image + (sharp - y) - halo * (above - below)
