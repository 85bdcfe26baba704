"""JPEG XL by libjxl (the Pillow plug-in pillow-jxl-plugin)."""

from __future__ import annotations

from typing import Any, ClassVar

import pillow_jxl  # noqa: F401  # registers the format with Pillow

from pipelines.compression.base import Codec
from pipelines.parameters import Parameter, Parameters


class JpegXL(Codec):
    """Lossy JPEG XL."""

    name = "compression.jpegxl"
    format = "JXL"
    parameters: ClassVar[Parameters] = {
        "quality": Parameter(5, 98, 80, unit="libjxl's scale", doc="Larger is finer and larger.", integer=True),
        "effort": Parameter(1, 7, 4, unit="level", doc="More is slower and, at an equal error, smaller.", integer=True),
        "decoding_speed": Parameter(0, 4, 0, unit="level", doc="Larger decodes faster, at some quality.", integer=True),
    }

    def save_options(self, quality: int, effort: int, decoding_speed: int) -> dict[str, Any]:
        """The plug-in's options."""
        return {"quality": quality, "effort": effort, "decoding_speed": decoding_speed, "lossless": False}
