"""The few fields of a TIFF header that are needed where Pillow cannot open the file or OpenCV would act on them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags

_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, int(ExifTags.Base.Orientation)
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
        if stream.read(4) not in _BYTE_ORDERS:
            return None
    values = {tag: value for _, tag, value in _fields(path.read_bytes())}
    if _WIDTH not in values or _HEIGHT not in values:
        return None
    return TiffHeader((values[_WIDTH], values[_HEIGHT]), values.get(_ORIENTATION, 1))


def without_orientation(data: bytes) -> bytes:
    """A TIFF file whose orientation says upright, anything else as it is.

    OpenCV turns some 16-bit TIFF files by itself and fails on those that lie on their side (5.0.0).
    """
    byte_order = _BYTE_ORDERS.get(data[:4])
    if byte_order is None:
        return data
    patched = bytearray(data)
    for place, tag, _ in _fields(data):
        if tag == _ORIENTATION:
            struct.pack_into(f"{byte_order}H", patched, place + 8, 1)
    return bytes(patched)


def _fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Place, tag and first value of each field of the first directory that is a short or long number."""
    byte_order = _BYTE_ORDERS[data[:4]]
    (directory,) = struct.unpack_from(f"{byte_order}I", data, 4)
    (count,) = struct.unpack_from(f"{byte_order}H", data, directory)
    for place in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{byte_order}HH", data, place)
        if kind in _NUMBERS:
            yield place, tag, struct.unpack_from(f"{byte_order}{_NUMBERS[kind]}", data, place + 8)[0]
