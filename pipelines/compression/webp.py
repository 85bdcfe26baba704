"""WebP by libwebp."""

from __future__ import annotations

from typing import Any, ClassVar

from pipelines.compression.base import Codec
from pipelines.parameters import Parameter, Parameters


class WebP(Codec):
    """Lossy WebP. Presets, deblocking and noise shaping are cwebp's alone (recipes/external_cwebp.yaml)."""

    name = "compression.webp"
    format = "WEBP"
    parameters: ClassVar[Parameters] = {
        "quality": Parameter(1, 98, 75, unit="libwebp's scale", doc="Larger is finer and larger.", integer=True),
        "method": Parameter(
            0, 6, 4, unit="level", doc="Effort; more is slower and, at an equal error, smaller.", integer=True
        ),
    }

    def save_options(self, quality: int, method: int) -> dict[str, Any]:
        """Pillow's options."""
        return {"quality": quality, "method": method, "lossless": False}
