"""Several codecs on one scale of quality: for comparing them."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pipelines.compression.avif import Avif
from pipelines.compression.base import Codec, coded
from pipelines.compression.jpeg import Jpeg
from pipelines.compression.jpeg2000 import Jpeg2000
from pipelines.compression.jpegxl import JpegXL
from pipelines.compression.webp import WebP
from pipelines.contract import Output, Pipeline
from pipelines.parameters import Choice, Parameter, Parameters

_CODECS: dict[str, type[Codec]] = {
    "jpeg": Jpeg,
    "webp": WebP,
    "avif": Avif,
    "jpegxl": JpegXL,
    "jpeg2000": Jpeg2000,
}


class AnyCodec(Pipeline):
    """JPEG, WebP, AVIF, JPEG XL or JPEG 2000 at a common quality of 0 to 100; all else at its codec's default.

    Quality runs over each codec's own scale, for JPEG 2000 over its ratio, logarithmically. Equal quality does not mean
    equal looks: that is what the judge is for.
    """

    name = "compression.codec"
    parameters: ClassVar[Parameters] = {
        "codec": Choice(tuple(_CODECS), "jpeg", doc="Which encoder."),
        "quality": Parameter(0.0, 100.0, 60.0, unit="%", doc="Larger is finer and larger."),
    }

    def process(self, image: Tensor, codec: str, quality: float) -> Output:
        """(N, 3, H, W) to the same; measures as of the codecs."""
        chosen = _CODECS[codec]()
        values = chosen.resolve()
        if codec == "jpeg2000":
            ratio = chosen.parameters["ratio"]
            assert isinstance(ratio, Parameter)
            values["ratio"] = ratio.high * (ratio.low / ratio.high) ** (quality / 100.0)
        else:
            scale = chosen.parameters["quality"]
            assert isinstance(scale, Parameter)
            values["quality"] = round(scale.low + (scale.high - scale.low) * quality / 100.0)
        return coded(image, chosen.format, chosen.save_options(**values))
