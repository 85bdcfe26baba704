"""Denoising of luma and chroma, apart."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipelines.guided_filter import guided_filter
from pipelines.isp.luma import from_ycc, to_ycc
from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import blended


class YuvDenoise(Stage):
    """Guided filters (He, Sun and Tang 2013) on luma and, guided by luma, on chroma (YCbCr, BT.601)."""

    name = "yuv_denoise"
    parameters: ClassVar[Parameters] = {
        "luma": Parameter(0.0, 1.0, 0.3, unit="fraction", doc="Share of the filtered luma. 0 neutral."),
        "luma_threshold": Parameter(
            0.002, 0.2, 0.03, unit="intensity", log=True, doc="Luma contrast below which it is smoothed."
        ),
        "chroma": Parameter(0.0, 1.0, 0.7, unit="fraction", doc="Share of the filtered chroma. 0 neutral."),
        "chroma_threshold": Parameter(
            0.002, 0.2, 0.05, unit="intensity", log=True, doc="Luma contrast below which chroma is smoothed."
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"luma": 0.0, "chroma": 0.0}
    takes = "display"
    gives = "display"

    def apply(
        self,
        image: Tensor,
        shot: Shot,
        luma: Tensor,
        luma_threshold: Tensor,
        chroma: Tensor,
        chroma_threshold: Tensor,
    ) -> Tensor:
        """(N, 3, H, W) to the same."""
        y, colors = to_ycc(image)
        count = image.shape[0]
        smooth = guided_filter(y, y, 5, luma_threshold.square().expand(count))
        # Chroma carries no fine detail of its own: its filter is fitted at half the resolution, four times faster.
        smooth_colors = guided_filter(y, colors, 9, chroma_threshold.square().expand(count), subsample=2)
        return from_ycc(blended(y, smooth, luma), blended(colors, smooth_colors, chroma))
