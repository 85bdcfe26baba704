"""Local tone mapping: shadows, highlights and local contrast."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipelines.guided_filter import guided_filter
from pipelines.isp.luma import luma
from pipelines.isp.stage import Shot, Stage, fixed_at
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import clamped, scaled

WINDOW, CONTRAST = 33, 0.1
"""Side of the base layer's window (pixels) and the contrast (intensity) that counts as an edge of it."""


class LocalTone(Stage):
    """Luma is split by a guided filter into a base and detail; the base is curved, the detail scaled.

    Source: base and detail after Durand and Dorsey 2002, by He, Sun and Tang's guided filter instead of the bilateral.
    """

    name = "local_tone"
    parameters: ClassVar[Parameters] = {
        "shadows": Parameter(-1.0, 1.0, 0.0, unit="relative", doc="Lifts dark regions. 0 neutral."),
        "highlights": Parameter(-1.0, 1.0, 0.0, unit="relative", doc="Lifts bright regions. 0 neutral."),
        "detail": Parameter(0.5, 2.0, 1.0, unit="factor", log=True, doc="On the detail: local contrast. 1 neutral."),
    }
    neutral: ClassVar[dict[str, float]] = {"shadows": 0.0, "highlights": 0.0, "detail": 1.0}
    takes = "display"
    gives = "display"

    def apply(self, image: Tensor, shot: Shot, shadows: Tensor, highlights: Tensor, detail: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        y = luma(image)
        window = min(WINDOW, *(side // 2 * 2 - 1 for side in image.shape[-2:]))
        base = guided_filter(y, y, window, CONTRAST**2, subsample=4 if min(image.shape[-2:]) >= 4 * WINDOW else 1)
        change = scaled(y - base, detail - 1.0)
        if not (fixed_at(shadows, 0.0) and fixed_at(highlights, 0.0)):
            inside = clamped(base, 0.0, 1.0)
            outside = 1.0 - inside
            change = change + 2.0 * inside * outside * (shadows * outside * outside + highlights * inside * inside)
        return image + change  # to all three colours alike: differences of colour stay
