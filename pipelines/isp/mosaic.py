"""RAW mosaics: what the ISP is given, from a RAW file or made from a picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
import torch
from torch import Tensor

from pipelines.inputs import InputKind
from pipelines.isp.cfa import PATTERNS
from pipelines.isp.color_matrix import ColorMatrix
from pipelines.isp.demosaic import Demosaic
from pipelines.isp.inverse import SRGB_TO_XYZ, Simulation
from pipelines.isp.stage import Shot
from pipelines.isp.tone_curve import srgb_encode
from pipelines.isp.white_balance import WhiteBalance
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import MIN_SIDE, SUFFIXES, read_image
from pixelperfect_models.tiff_header import is_dng

RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef"),
    *(".srw", ".3fr", ".iiq", ".mrw", ".x3f", ".erf", ".kdc", ".dcr", ".mos", ".raw"),
)
MOST_PIXELS = 250_000_000
"""Larger frames are refused before they are decoded: no sensor has them (the largest, of phones, have 200 megapixels),
broken headers do. Reading takes about 6 bytes a pixel, so 1.5 GB at most."""


@dataclass(frozen=True)
class Mosaic:
    """A RAW mosaic and what is known of its shot.

    Attributes:
        data: (N, 1, H, W) float, sensor values scaled so that black is 0 and white is 1.
        shot: CFA phase, white balance, colour matrix and noise.
    """

    data: Tensor
    shot: Shot


class RawFileError(UserError):
    """A RAW file is missing, broken or of a kind that is not supported."""


class MosaicInput(InputKind):
    """RAW files, and pictures turned into mosaics.

    Args:
        simulation: how a picture becomes a mosaic.
    """

    name = "RAW file or picture"
    suffixes = (*RAW_SUFFIXES, *SUFFIXES)
    align = 2

    def __init__(self, simulation: Simulation | None = None) -> None:
        self.simulation = simulation or Simulation()

    def read(self, path: Path) -> Mosaic:
        """A RAW file as it is, a picture through the inverse ISP."""
        path = Path(path)
        if path.suffix.lower() in SUFFIXES:
            if path.is_file() and is_dng(path):
                # Else it would be a broken TIFF to the reader of pictures, or its thumbnail taken for the picture.
                raise RawFileError(f"{path}: a DNG under the name of a picture, expected its name to end in .dng")
            picture = read_image(path)
            height, width = (side - side % 2 for side in picture.shape[-2:])
            data, shot = self.simulation.shoot(picture[..., :height, :width], path.name)
            return Mosaic(data, shot)
        return read_raw(path)

    def check(self, given: Any) -> None:
        """Raise UserError unless it is a finite mosaic with even sides of at least 16 px."""
        if not isinstance(given, Mosaic):
            raise UserError(f"input is a {type(given).__name__}, expected a Mosaic (pipelines.isp)")
        shape = tuple(given.data.shape)
        if len(shape) != 4 or shape[1] != 1 or min(shape[2:]) < MIN_SIDE or shape[2] % 2 or shape[3] % 2:
            raise UserError(f"mosaic has shape {shape}, expected (N, 1, H, W) with even sides of at least {MIN_SIDE}")
        if given.data.dtype not in (torch.float32, torch.float64):
            raise UserError(f"mosaic is {given.data.dtype}, expected float32 or float64")
        if not bool(torch.isfinite(given.data).all()):
            raise UserError("mosaic holds NaN or infinite values")
        if given.shot.cfa not in PATTERNS:
            raise UserError(f"CFA pattern {given.shot.cfa!r}, expected one of {', '.join(PATTERNS)}")

    def like(self, given: Mosaic) -> Tensor:
        """(N, 3, H, W)."""
        return given.data.expand(-1, 3, -1, -1)

    def crop(self, given: Mosaic, top: int, left: int, height: int, width: int) -> Mosaic:
        """A copy of that part; the CFA phase stays, since all four are even."""
        rows, columns = given.data.shape[-2:]
        above, before, full_height, full_width = given.shot.frame or (0, 0, rows, columns)
        shot = replace(given.shot, frame=(above + top, before + left, full_height, full_width))
        height, width = height - height % 2, width - width % 2
        return Mosaic(given.data[..., top : top + height, left : left + width].contiguous(), shot)

    def preview(self, given: Mosaic) -> Tensor:
        """Bilinear demosaicing, the file's white balance and colour matrix, sRGB encoding; nothing else."""
        with torch.no_grad():
            return srgb_encode(linear_rendering(given)).clamp(0.0, 1.0)


def linear_rendering(mosaic: Mosaic, method: str = "bilinear") -> Tensor:
    """The neutral ISP up to linear sRGB, (N, 3, H, W), unclamped: white balance, demosaicing, colour matrix."""
    one = mosaic.data.new_ones(())
    balanced = WhiteBalance().apply(mosaic.data, mosaic.shot, red=one, blue=one)
    camera = Demosaic().apply(balanced, mosaic.shot, method=method, chroma_smooth=0.0 * one)
    return ColorMatrix().apply(camera, mosaic.shot, strength=one)


def read_raw(path: Path) -> Mosaic:
    """Read a RAW file by LibRaw.

    White balance is the camera's, or daylight where the file has none; the colour matrix is the file's, or the one
    LibRaw knows for the camera, or none where both are missing or singular. The picture is turned and mirrored as the
    file says; of odd sides the last row or column is left out.

    Raises:
        RawFileError: missing, broken, absurdly large, or not of a 2 x 2 Bayer pattern.
    """
    with open_raw(path) as raw:
        return _from_libraw(raw, path)


@contextmanager
def open_raw(path: Path) -> Iterator[Any]:
    """A RAW file opened and decoded by LibRaw: a ``rawpy.RawPy``, of any CFA or none.

    What LibRaw raises, also in the body, becomes a RawFileError. Of truncated files LibRaw itself writes a line to the
    standard error, which rawpy has no switch for.

    Raises:
        RawFileError: missing, broken, truncated, or of more than :data:`MOST_PIXELS`.
    """
    if not path.exists():
        raise RawFileError(f"{path}: no such file")
    if not path.is_file():
        raise RawFileError(f"{path}: not a file, expected a RAW file ({', '.join(RAW_SUFFIXES[:5])}, ...)")
    problem = "not a RAW file that LibRaw can read"
    try:
        with rawpy.imread(str(path)) as raw:
            sizes = raw.sizes
            if sizes.raw_height * sizes.raw_width > MOST_PIXELS:
                raise RawFileError(
                    f"{path}: {sizes.raw_width} x {sizes.raw_height} pixels, "
                    f"expected at most {MOST_PIXELS // 1_000_000} megapixels"
                )
            problem = "the RAW data is broken or truncated"
            raw.unpack()
            yield raw
    except RawFileError:
        raise
    except (rawpy.LibRawError, rawpy.NotSupportedError, NotImplementedError, ValueError, OSError, MemoryError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise RawFileError(f"{path}: {problem} ({reason})") from None


def _from_libraw(raw: Any, path: Path) -> Mosaic:
    sizes = raw.sizes
    pattern = raw.raw_pattern
    if raw.raw_type != rawpy.RawType.Flat or pattern is None or pattern.shape != (2, 2):
        raise RawFileError(f"{path}: no 2 x 2 Bayer mosaic, expected one (X-Trans and Foveon are not supported)")
    black = np.asarray(raw.black_level_per_channel, dtype=np.float32)
    white = float(raw.white_level)
    if not white > float(black.max()):
        raise RawFileError(f"{path}: white level {white:g} is not above black level {black.max():g}")
    visible = _upright(raw.raw_image_visible, sizes.flip)
    height, width = (side - side % 2 for side in visible.shape)
    if min(height, width) < MIN_SIDE:
        raise RawFileError(f"{path}: {width} x {height} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}")
    # A corner whose sides are odd where the frame's are: turned, it shows the phase that the turned frame has.
    corner = np.roll(pattern, (-sizes.top_margin, -sizes.left_margin), (0, 1))
    corner = np.pad(corner, ((0, sizes.height % 2), (0, sizes.width % 2)), mode="wrap")
    colors = _upright(corner, sizes.flip)[:2, :2]
    names = raw.color_desc.decode()
    cfa = "".join(names[color] for color in colors.ravel())
    if cfa not in PATTERNS:
        raise RawFileError(f"{path}: CFA pattern {cfa}, expected one of {', '.join(PATTERNS)}")
    balance = np.asarray(raw.camera_whitebalance[:3], dtype=np.float64)
    if not (np.isfinite(balance).all() and (balance > 0).all()):
        balance = np.asarray(raw.daylight_whitebalance[:3], dtype=np.float64)
    shot = Shot(
        cfa=cfa,
        white_balance=torch.tensor(balance / balance[1], dtype=torch.float32),
        color_matrix=torch.tensor(_color_matrix(raw), dtype=torch.float32),
    )
    scaled = np.empty((1, 1, height, width), dtype=np.float32)
    for row, column in np.ndindex(2, 2):  # colour by colour and in place: frames are large
        level, plane = black[colors[row, column]], scaled[0, 0, row::2, column::2]
        np.subtract(visible[row:height:2, column:width:2], level, out=plane)
        plane /= np.float32(white) - level
    return Mosaic(torch.from_numpy(scaled), shot)


def _upright(array: np.ndarray, flip: int) -> np.ndarray:
    """A view of (H, W) turned by LibRaw's flip: 1 mirrors left and right, 2 upside down, 4 then swaps the sides."""
    turned = array[:: -1 if flip & 2 else 1, :: -1 if flip & 1 else 1]
    return turned.T if flip & 4 else turned


def _color_matrix(raw: Any) -> np.ndarray:
    """(3, 3), white-balanced camera colours to linear sRGB, rows summing to 1; the identity where none is known."""
    matrix = np.asarray(raw.color_matrix, dtype=np.float64)[:3, :3]
    if not _is_regular(matrix):
        # Only DNG files and a few cameras carry their own; for the others LibRaw has Adobe's XYZ to camera matrices.
        forward = np.asarray(raw.rgb_xyz_matrix, dtype=np.float64)[:3] @ np.array(SRGB_TO_XYZ)
        if not _is_regular(forward):
            return np.eye(3)
        matrix = np.linalg.inv(forward / forward.sum(1, keepdims=True))
    return matrix / matrix.sum(1, keepdims=True)


def _is_regular(matrix: np.ndarray) -> bool:
    return bool(np.isfinite(matrix).all() and abs(np.linalg.det(matrix)) >= 1e-6)
