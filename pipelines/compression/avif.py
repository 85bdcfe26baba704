"""AVIF by libavif."""

from __future__ import annotations

from typing import Any, ClassVar

from pipelines.compression.base import Codec
from pipelines.parameters import Choice, Parameter, Parameters


class Avif(Codec):
    """Lossy AVIF."""

    name = "compression.avif"
    format = "AVIF"
    parameters: ClassVar[Parameters] = {
        "quality": Parameter(1, 98, 60, unit="libavif's scale", doc="Larger is finer and larger.", integer=True),
        "speed": Parameter(4, 10, 8, unit="level", doc="Larger is faster and larger.", integer=True),
        "subsampling": Choice(("4:4:4", "4:2:2", "4:2:0"), "4:2:0", doc="Resolution of chroma."),
    }

    def save_options(self, quality: int, speed: int, subsampling: str) -> dict[str, Any]:
        """Pillow's options; one thread, so that times and files do not depend on the machine."""
        return {"quality": quality, "speed": speed, "subsampling": subsampling, "max_threads": 1}
