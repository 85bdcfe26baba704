"""Reading and writing image files: the one module that touches them.

Accepted on reading: 8- and 16-bit RGB, TIFF files of float values in [0, 1], grey (repeated to three channels),
palette, alpha (refused when any pixel is not opaque, since what lies behind it is unknown), CMYK (converted). EXIF
orientation is applied.
"""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from pixelperfect_models.errors import UserError
from pixelperfect_models.tiff_header import TiffHeader, read_tiff_header, without_orientation

T = TypeVar("T")

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".jp2", ".avif")
"""File name endings that a folder of pictures is searched for."""

DEEP_SUFFIXES = (".png", ".tif", ".tiff")
"""File name endings of the kinds that :func:`write_image` writes with 16 bits."""

MIN_SIDE = 16
"""The smallest side the judges take, pixels."""


MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)
"""Larger pictures are refused before they are decoded (Pillow's limit, 178 megapixels): broken headers and
decompression bombs ask for more."""


class ImageFileError(UserError):
    """A picture file is missing, broken or of a kind that cannot be judged."""


def read_image(path: str | Path) -> torch.Tensor:
    """Read a picture as a (1, 3, H, W) float32 tensor, sRGB-encoded, values in [0, 1].

    16-bit files keep their precision. Grey and palette pictures become RGB; CMYK is converted.

    Raises:
        ImageFileError: missing, truncated, not an image, smaller than 16 x 16 or larger than
            :data:`MOST_PIXELS`, or partly transparent.
    """
    return to_tensor(read_array(path))


def read_array(path: str | Path) -> np.ndarray:
    """Read a picture as an (H, W, 3) float32 array in [0, 1]. Raises like :func:`read_image`."""
    path = _existing(path)
    with _quiet():
        array = _decode(path, _pixels)
    height, width = array.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageFileError(f"{path}: {width} x {height} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}")
    return array


def picture_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of a picture file as :func:`read_image` would give it, from its header; nothing is decoded.

    Raises ImageFileError where the header cannot be read.
    """
    with _quiet():
        return _decode(_existing(path), _size)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise ImageFileError(f"{path}: no such file")
    if path.is_dir():
        raise ImageFileError(f"{path}: a folder, expected a picture file ({', '.join(SUFFIXES)})")
    return path


def _decode(path: Path, read: Callable[[Path, Image.Image | TiffHeader], T]) -> T:
    """What ``read`` makes of the opened file; whatever a decoder raises becomes an ImageFileError."""
    try:
        try:
            with Image.open(path) as picture:
                return read(path, picture)
        except UnidentifiedImageError:
            header = read_tiff_header(path)  # Pillow opens no RGB of float values, OpenCV does
            if header is None:
                raise
            if header.size[0] * header.size[1] > MOST_PIXELS:
                raise Image.DecompressionBombError from None
            return read(path, header)
    except ImageFileError:
        raise
    except UnidentifiedImageError:
        raise ImageFileError(f"{path}: not a picture file that can be read ({', '.join(SUFFIXES)})") from None
    except PermissionError:
        raise ImageFileError(f"{path}: cannot be read (permission denied)") from None
    except Image.DecompressionBombError:
        raise ImageFileError(
            f"{path}: more than {MOST_PIXELS // 1_000_000} megapixels, expected at most that"
        ) from None
    except Exception as error:  # of broken data decoders make OSError, SyntaxError, RuntimeError, struct.error, ...
        reason = " ".join(str(error).split())[:200]
        raise ImageFileError(f"{path}: the picture is broken or truncated ({reason})") from None


def _pixels(path: Path, picture: Image.Image | TiffHeader) -> np.ndarray:
    if (
        isinstance(picture, TiffHeader)
        or picture.mode.startswith(("I", "F"))
        or (picture.format in ("PNG", "TIFF") and _is_16_bit(path, picture))
    ):
        return _upright(_read_deep(path), _orientation(picture.getexif()))
    return _read_8_bit(path, picture)


def _orientation(exif: Mapping[int, Any]) -> int:
    return int(exif.get(ExifTags.Base.Orientation, 1))


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, C) turned as EXIF says, which OpenCV does not do where the pixels are to stay what they are."""
    if orientation in (2, 4, 5, 7):
        array = array[:, ::-1]
    # From here on by quarters of a turn, clockwise.
    quarters = {3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(array, -quarters))


def _size(path: Path, picture: Image.Image | TiffHeader) -> tuple[int, int]:
    width, height = picture.size
    if isinstance(picture, TiffImageFile):  # whose size is that after turning, or before, depending on Pillow's version
        width, height = int(picture.tag_v2[256]), int(picture.tag_v2[257])
    # Orientations from 5 on are turned by 90 degrees. Pillow decodes a whole PNG to look for what is behind its pixels.
    if isinstance(picture, PngImageFile) and not _says_more_behind_its_pixels(path):
        turned = _orientation(Image.Image.getexif(picture)) >= 5
    else:
        turned = _orientation(picture.getexif()) >= 5
    return (width, height) if turned else (height, width)


def _says_more_behind_its_pixels(path: Path) -> bool:
    """Whether a PNG has EXIF or text after its data; of every chunk only the head is read."""
    with path.open("rb") as stream:
        stream.seek(8)
        data = False
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if data and kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            data |= kind == b"IDAT"
            stream.seek(length + 4, os.SEEK_CUR)
    return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Decoders' warnings and log lines are left out: what matters of them is in the error that is raised."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _is_16_bit(path: Path, picture: Image.Image) -> bool:
    # Pillow opens 16-bit RGB PNG and TIFF as 8-bit RGB; the headers tell what the file really holds.
    if picture.format == "PNG":
        with path.open("rb") as stream:
            return stream.read(25)[24:25] == b"\x10"
    bits = getattr(picture, "tag_v2", {}).get(258, 8)
    return max(bits) > 8 if isinstance(bits, tuple) else int(bits) > 8


def _read_deep(path: Path) -> np.ndarray:
    data = cv2.imdecode(np.frombuffer(without_orientation(path.read_bytes()), np.uint8), cv2.IMREAD_UNCHANGED)
    if data is None:
        raise ImageFileError(f"{path}: the picture is broken or truncated")
    if data.dtype == np.uint16:
        array = data.astype(np.float32) / 65535.0
    elif data.dtype == np.uint8:
        array = data.astype(np.float32) / 255.0
    elif data.dtype in (np.float32, np.float64):
        array = data.astype(np.float32)
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ImageFileError(f"{path}: float pixels outside [0, 1]; expected sRGB-encoded values in [0, 1]")
    else:
        raise ImageFileError(f"{path}: pixels of type {data.dtype}, expected 8-bit, 16-bit or float in [0, 1]")
    if array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if array.shape[2] == 4:
        _refuse_transparent(path, array[:, :, 3])
    return np.ascontiguousarray(array[:, :, 2::-1])


def _read_8_bit(path: Path, picture: Image.Image) -> np.ndarray:
    picture.load()
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        _refuse_transparent(path, np.asarray(rgba.getchannel("A"), dtype=np.float32) / 255.0)
        picture = rgba
    return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0


def _refuse_transparent(path: Path, alpha: np.ndarray) -> None:
    if alpha.min() < 1.0:
        raise ImageFileError(
            f"{path}: the picture is partly transparent; flatten it on a background first (its colours there are "
            "undefined)"
        )


def read_mask(path: str | Path) -> torch.Tensor:
    """Read a mask file as a (1, 1, H, W) float32 tensor in [0, 1]; white is inside. Raises ImageFileError."""
    return read_image(path).mean(dim=1, keepdim=True)


def write_image(path: str | Path, image: torch.Tensor | np.ndarray, bits: int = 8) -> Path:
    """Write a (1, 3, H, W), (3, H, W) tensor or (H, W, 3) array in [0, 1], by the file name's ending.

    JPEG and WebP are written at quality 95.

    Args:
        bits: per colour, 8 or 16. :func:`read_image` gives values back to half a step of it: 1 / 510 or 1 / 131070
            (where the kind of file is lossless).

    Raises:
        UserError: the folder cannot be written, or 16 bits for another file than PNG or TIFF.
        ValueError: ``bits`` is neither 8 nor 16.
    """
    path = Path(path)
    if bits not in (8, 16):
        raise ValueError(f"write_image: bits = {bits!r}, expected 8 or 16")
    suffix = path.suffix.lower()
    if bits == 16 and suffix not in DEEP_SUFFIXES:
        raise UserError(f"{path}: 16 bits can be written as {', '.join(DEEP_SUFFIXES)}; choose one of these, or 8 bits")
    array = to_array(image) if isinstance(image, torch.Tensor) else image
    steps = 2**bits - 1
    pixels = np.round(np.clip(array, 0.0, 1.0) * float(steps)).astype(np.uint8 if bits == 8 else np.uint16)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if bits == 16:  # of which Pillow writes grey alone
            path.write_bytes(cv2.imencode(suffix, pixels[:, :, ::-1])[1].tobytes())
        elif suffix in (".jpg", ".jpeg", ".webp", ".avif"):
            Image.fromarray(pixels).save(path, quality=95)
        else:
            Image.fromarray(pixels).save(path)
    except PermissionError:
        raise UserError(f"{path}: cannot be written (permission denied); choose another folder") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be written ({error})") from None
    return path


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """(H, W, 3) float array to a (1, 3, H, W) float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32)).unsqueeze(0)


def to_array(image: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) or (3, H, W) tensor to an (H, W, 3) float32 array."""
    if image.ndim == 4:
        if image.shape[0] != 1:
            raise ValueError(f"one picture expected, got a batch of {image.shape[0]}")
        image = image[0]
    return np.ascontiguousarray(image.detach().to("cpu", torch.float32).numpy().transpose(1, 2, 0))


def list_images(folder: str | Path) -> list[Path]:
    """All picture files below ``folder``, sorted. Raises UserError when there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of pictures")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise UserError(f"{folder}: no picture in this folder ({', '.join(SUFFIXES)})")
    return found
