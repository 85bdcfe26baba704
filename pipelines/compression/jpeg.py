"""JPEG by libjpeg-turbo."""

from __future__ import annotations

from typing import Any, ClassVar

from pipelines.compression.base import Codec
from pipelines.compression.tables import standard_tables
from pipelines.parameters import Choice, Parameter, Parameters


class Jpeg(Codec):
    """Baseline or progressive JPEG with the standard's tables, luma and chroma scaled apart.

    Source of the tables: ITU-T T.81, annex K; of the quality's scale: libjpeg (``jpeg_quality_scaling``).
    """

    name = "compression.jpeg"
    format = "JPEG"
    parameters: ClassVar[Parameters] = {
        "quality": Parameter(5, 98, 75, unit="libjpeg's scale", doc="Larger is finer and larger."),
        "chroma_quality": Parameter(
            -30, 30, 0, unit="libjpeg's scale", doc="Added to the quality for the chroma table; below 0 saves bytes."
        ),
        "subsampling": Choice(
            ("4:4:4", "4:2:2", "4:2:0"), "4:2:0", doc="Resolution of chroma; 4:4:4 is the largest and the closest."
        ),
        "progressive": Choice((False, True), False, doc="Coefficients by importance; smaller at high quality only."),
        "optimize": Choice((True, False), True, doc="Huffman codes made for the picture: smaller, the same pixels."),
    }

    def save_options(
        self, quality: float, chroma_quality: float, subsampling: str, progressive: bool, optimize: bool
    ) -> dict[str, Any]:
        """Pillow's options; with ``qtables`` it ignores its own quality."""
        luma, _ = standard_tables(quality)
        _, chroma = standard_tables(min(100.0, max(1.0, quality + chroma_quality)))
        return {
            "qtables": [luma, chroma],
            "subsampling": subsampling,
            "progressive": progressive,
            "optimize": optimize,
        }
