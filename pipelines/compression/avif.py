"""AVIF by libavif."""

from __future__ import annotations

from typing import Any, ClassVar

from pipelines.compression.base import Codec
from pipelines.parameters import Choice, Parameter, Parameters

_OWN = "default"


class Avif(Codec):
    """Lossy AVIF.

    ``tune`` is what libaom's decisions are good for: squared error (psnr), structural similarity (ssim), looks of still
    pictures (iq). The default asks for nothing: the encoder's own is iq in Pillow 13 and ssim in Pillow 11.3 and 12.0.
    """

    name = "compression.avif"
    format = "AVIF"
    parameters: ClassVar[Parameters] = {
        "quality": Parameter(1, 98, 60, unit="libavif's scale", doc="Larger is finer and larger.", integer=True),
        "speed": Parameter(
            4, 10, 8, unit="level", doc="Larger is faster and, at an equal error, larger.", integer=True
        ),
        "subsampling": Choice(
            ("4:4:4", "4:2:2", "4:2:0"), "4:2:0", doc="Resolution of chroma; 4:4:4 is the largest and the closest."
        ),
        "tune": Choice(
            (_OWN, "psnr", "ssim", "iq"), _OWN, doc="What the encoder's decisions are made for; default is its own."
        ),
    }

    def save_options(self, quality: int, speed: int, subsampling: str, tune: str) -> dict[str, Any]:
        """Pillow's options; one thread, so that times and files do not depend on the machine."""
        options = {"quality": quality, "speed": speed, "subsampling": subsampling, "max_threads": 1}
        return options if tune == _OWN else {**options, "advanced": {"tune": tune}}
