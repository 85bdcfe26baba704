"""What all codecs share: encode, measure, decode."""

from __future__ import annotations

import io
import time
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipelines.contract import Output, Pipeline


class Codec(Pipeline):
    """A picture through a real encoder and decoder of Pillow's; a subclass says with which options.

    Measures, means over the batch: ``bytes`` of the file, ``bits_per_pixel``, ``bytes_per_pixel``, ``encode_seconds``,
    ``decode_seconds``. Pictures are rounded to 8 bits before coding.

    Attributes:
        format: Pillow's name of the format.
    """

    format: ClassVar[str]

    @abstractmethod
    def save_options(self, *args: Any, **values: Any) -> dict[str, Any]:
        """The parameters as keyword arguments of ``PIL.Image.Image.save``."""

    def process(self, image: Tensor, **values: Any) -> Output:
        """(N, 3, H, W) to the same, and what it took."""
        return coded(image, self.format, self.save_options(**values))


def coded(image: Tensor, file_format: str, options: dict[str, Any]) -> Output:
    """Encode and decode each picture of (N, 3, H, W) by Pillow; the measures are those of :class:`Codec`."""
    decoded, sizes, encoding, decoding = [], [], 0.0, 0.0
    for picture in eight_bit(image):
        start = time.perf_counter()
        data = encode(picture, file_format, options)
        middle = time.perf_counter()
        with Image.open(io.BytesIO(data)) as opened:
            decoded.append(np.asarray(opened.convert("RGB"), dtype=np.float32) / 255.0)
        encoding, decoding = encoding + middle - start, decoding + time.perf_counter() - middle
        sizes.append(len(data))
    count, pixels = len(sizes), image.shape[-2] * image.shape[-1]
    output = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous().to(image.device, image.dtype)
    size = sum(sizes) / count
    measures = {
        "bytes": size,
        "bits_per_pixel": 8.0 * size / pixels,
        "bytes_per_pixel": size / pixels,
        "encode_seconds": encoding / count,
        "decode_seconds": decoding / count,
    }
    return Output(output, measures)


def eight_bit(image: Tensor) -> list[Image.Image]:
    """The pictures of (N, 3, H, W) in [0, 1], rounded to 8 bits, for Pillow."""
    levels = torch.round(image.detach().cpu().clamp(0.0, 1.0) * 255.0).to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(picture) for picture in levels.contiguous().numpy()]


def encode(picture: Image.Image, file_format: str, options: dict[str, Any]) -> bytes:
    """One picture as a file's bytes."""
    stream = io.BytesIO()
    picture.save(stream, format=file_format, **options)
    return stream.getvalue()
