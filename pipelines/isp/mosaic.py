"""RAW mosaics: what the ISP is given, from a RAW file or made from a picture."""

from __future__ import annotations

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
from pipelines.isp.inverse import Simulation
from pipelines.isp.stage import Shot
from pipelines.isp.tone_curve import srgb_encode
from pipelines.isp.white_balance import WhiteBalance
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import MIN_SIDE, SUFFIXES, read_image

RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef"),
    *(".srw", ".3fr", ".iiq", ".mrw", ".x3f", ".erf", ".kdc", ".dcr", ".mos", ".raw"),
)
MOST_PIXELS = 400_000_000
"""Larger frames are refused before they are decoded: no camera makes them, broken headers do."""


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
    LibRaw knows for the camera. The picture is turned as the file says.

    Raises:
        RawFileError: missing, broken, absurdly large, or not of a 2 x 2 Bayer pattern.
    """
    if not path.exists():
        raise RawFileError(f"{path}: no such file")
    if not path.is_file():
        raise RawFileError(f"{path}: not a file, expected a RAW file ({', '.join(RAW_SUFFIXES[:5])}, ...)")
    try:
        with rawpy.imread(str(path)) as raw:
            return _from_libraw(raw, path)
    except RawFileError:
        raise
    except (rawpy.LibRawError, rawpy.NotSupportedError, ValueError, OSError, MemoryError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise RawFileError(f"{path}: not a RAW file that LibRaw can read ({reason})") from None


def _from_libraw(raw: Any, path: Path) -> Mosaic:
    sizes = raw.sizes
    if sizes.raw_height * sizes.raw_width > MOST_PIXELS:
        raise RawFileError(f"{path}: {sizes.raw_width} x {sizes.raw_height} pixels, expected at most 400 megapixels")
    pattern = raw.raw_pattern
    if raw.raw_type != rawpy.RawType.Flat or pattern is None or pattern.shape != (2, 2):
        raise RawFileError(f"{path}: no 2 x 2 Bayer mosaic, expected one (X-Trans and Foveon are not supported)")
    values = raw.raw_image_visible.astype(np.float32)
    colors = raw.raw_colors_visible
    black = np.asarray(raw.black_level_per_channel, dtype=np.float32)
    white = float(raw.white_level)
    if not white > float(black.max()):
        raise RawFileError(f"{path}: white level {white:g} is not above black level {black.max():g}")
    scaled = (values - black[colors]) / (white - black[colors])
    turn = {0: 0, 3: 2, 5: 1, 6: 3}.get(sizes.flip, 0)  # LibRaw's flip; np.rot90 turns counter-clockwise
    scaled, colors = np.rot90(scaled, turn), np.rot90(colors, turn)
    height, width = (side - side % 2 for side in scaled.shape)
    if min(height, width) < MIN_SIDE:
        raise RawFileError(f"{path}: {width} x {height} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}")
    names = raw.color_desc.decode()
    cfa = "".join(names[color] for color in colors[:2, :2].ravel())
    if cfa not in PATTERNS:
        raise RawFileError(f"{path}: CFA pattern {cfa}, expected one of {', '.join(PATTERNS)}")
    balance = np.asarray(raw.camera_whitebalance[:3], dtype=np.float64)
    if not (np.isfinite(balance).all() and (balance > 0).all()):
        balance = np.asarray(raw.daylight_whitebalance[:3], dtype=np.float64)
    matrix = np.asarray(raw.color_matrix, dtype=np.float64)[:3, :3]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-6:
        matrix = np.eye(3)
    shot = Shot(
        cfa=cfa,
        white_balance=torch.tensor(balance / balance[1], dtype=torch.float32),
        color_matrix=torch.tensor(matrix / matrix.sum(1, keepdims=True), dtype=torch.float32),
    )
    return Mosaic(torch.from_numpy(np.ascontiguousarray(scaled[:height, :width]))[None, None], shot)
