"""RAW files that a program develops itself: only their path and the size of what comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rawpy
import torch
from torch import Tensor

from pipelines.inputs import InputKind
from pipelines.isp.mosaic import RAW_SUFFIXES, open_raw
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import to_tensor


@dataclass(frozen=True)
class RawPath:
    """A RAW file; ``height`` and ``width`` of its rendering, and the part (top, left, height, width) looked at."""

    path: Path
    height: int
    width: int
    box: tuple[int, int, int, int]


class RawPathInput(InputKind):
    """RAW files by their path, of any CFA that LibRaw reads (Bayer, X-Trans) or none.

    The size of the rendering is LibRaw's: every visible pixel, odd sides too, turned as the file says.
    """

    name = "RAW file"
    suffixes = RAW_SUFFIXES

    def read(self, path: Path) -> RawPath:
        """Decoded once, for the size and to refuse what is broken. Raises RawFileError.

        LibRaw itself takes no sides below 22 pixels.
        """
        path = Path(path)
        with open_raw(path) as raw:
            height, width = rendered_size(raw)
        return RawPath(path.absolute(), height, width, (0, 0, height, width))

    def check(self, given: Any) -> None:
        """Raise UserError unless it is a :class:`RawPath`."""
        if not isinstance(given, RawPath):
            raise UserError(f"input is a {type(given).__name__}, expected a RawPath (pipelines.raw_path)")

    def like(self, given: RawPath) -> Tensor:
        """(1, 3, H, W) of the part looked at."""
        return torch.zeros(()).expand(1, 3, *given.box[2:])

    def crop(self, given: RawPath, top: int, left: int, height: int, width: int) -> RawPath:
        """The whole file is developed all the same; the output is cropped."""
        return replace(given, box=(given.box[0] + top, given.box[1] + left, height, width))

    def preview(self, given: RawPath) -> Tensor:
        """LibRaw's plain rendering of that part: bilinear, the file's white balance, sRGB."""
        with open_raw(given.path) as raw:
            levels = raw.postprocess(
                demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
                no_auto_bright=True,
                adjust_maximum_thr=0.0,  # white is the file's white level, not the largest value of the data
                gamma=(2.4, 12.92),
                output_bps=16,
                use_camera_wb=True,
            )
        top, left, height, width = given.box
        return to_tensor(levels[top : top + height, left : left + width]) / 65535.0


def rendered_size(raw: Any) -> tuple[int, int]:
    """(height, width) of LibRaw's rendering of an opened ``rawpy.RawPy``: stretched to square pixels, then turned."""
    sizes = raw.sizes
    height, width, aspect = sizes.height, sizes.width, sizes.pixel_aspect
    if aspect < 1:
        height = int(height / aspect + 0.5)
    elif aspect > 1:
        width = int(width * aspect + 0.5)
    return (width, height) if sizes.flip & 4 else (height, width)
