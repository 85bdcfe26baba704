"""The few fields of a TIFF header that are needed where Pillow cannot open the file or OpenCV would act on them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags

_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, int(ExifTags.Base.Orientation)
_DNG_VERSION = 50706
_NUMBERS = {3: "H", 4: "I"}  # field types SHORT and LONG
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


@dataclass(frozen=True)
class TiffHeader:
    """What a picture that Pillow opens would say of itself.

    Attributes:
        size: (width, height) as stored, pixels.
        orientation: EXIF's, 1 to 8.
    """

    size: tuple[int, int]
    orientation: int

    def getexif(self) -> dict[int, int]:
        """The orientation alone."""
        return {_ORIENTATION: self.orientation}


def read_tiff_header(path: Path) -> TiffHeader | None:
    """Of the file's first picture; None where it is no TIFF file (BigTIFF is none here).

    Raises:
        struct.error: truncated.
    """
    with path.open("rb") as stream:
        byte_order = _BYTE_ORDERS.get(stream.read(4))
        if byte_order is None:
            return None
        values = {
            tag: struct.unpack_from(f"{byte_order}{_NUMBERS[kind]}", value)[0]
            for _, tag, kind, value in _fields(stream)
            if kind in _NUMBERS
        }
    if _WIDTH not in values or _HEIGHT not in values:
        return None
    return TiffHeader((values[_WIDTH], values[_HEIGHT]), values.get(_ORIENTATION, 1))


def is_dng(path: Path) -> bool:
    """Whether a file is a TIFF whose first directory has the tag DNGVersion (Adobe DNG 1.4, appendix A)."""
    with path.open("rb") as stream:
        try:
            return stream.read(4) in _BYTE_ORDERS and any(tag == _DNG_VERSION for _, tag, _, _ in _fields(stream))
        except struct.error:  # truncated before the tag came
            return False


def without_orientation(data: bytes) -> bytes:
    """A TIFF file whose orientation says upright, anything else as it is.

    OpenCV turns some 16-bit TIFF files by itself and fails on those that lie on their side (5.0.0).
    """
    byte_order = _BYTE_ORDERS.get(data[:4])
    if byte_order is None:
        return data
    patched = bytearray(data)
    for place, tag, kind, _ in _fields(BytesIO(data)):
        if tag == _ORIENTATION and kind in _NUMBERS:
            struct.pack_into(f"{byte_order}H", patched, place + 8, 1)
    return bytes(patched)


def _fields(stream: BinaryIO) -> Iterator[tuple[int, int, int, bytes]]:
    """Place, tag, type and the four bytes of the value (or of where it lies) of each field of the first directory."""
    stream.seek(0)
    byte_order = _BYTE_ORDERS[stream.read(4)]
    (directory,) = struct.unpack(f"{byte_order}I", stream.read(4))
    stream.seek(directory)
    (count,) = struct.unpack(f"{byte_order}H", stream.read(2))
    for place in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, _, value = struct.unpack(f"{byte_order}HHI4s", stream.read(12))
        yield place, tag, kind, value
