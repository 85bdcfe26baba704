"""JPEG 2000 by OpenJPEG."""

from __future__ import annotations

from typing import Any, ClassVar

from pipelines.compression.base import Codec
from pipelines.parameters import Choice, Parameter, Parameters


class Jpeg2000(Codec):
    """Lossy JPEG 2000 at a given compression ratio."""

    name = "compression.jpeg2000"
    format = "JPEG2000"
    parameters: ClassVar[Parameters] = {
        "ratio": Parameter(3.0, 150.0, 20.0, unit=": 1", log=True, doc="Uncompressed to compressed bytes."),
        "resolutions": Parameter(
            2, 5, 5, unit="levels", doc="Levels of the wavelet transform plus one; more are closer.", integer=True
        ),
        "codeblock": Choice(
            (16, 32, 64), 64, unit="px", doc="Side of the blocks that are coded apart; larger are closer."
        ),
        "reversible": Choice((False, True), False, doc="5/3 instead of 9/7 wavelet; less close."),
    }

    def save_options(self, ratio: float, resolutions: int, codeblock: int, reversible: bool) -> dict[str, Any]:
        """Pillow's options."""
        return {
            "quality_mode": "rates",
            "quality_layers": [ratio],
            "num_resolutions": resolutions,
            "codeblock_size": (codeblock, codeblock),
            "irreversible": not reversible,
            "mct": 1,
        }
