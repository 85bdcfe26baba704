"""RAW files that a program develops itself: only their path and the size of what comes out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.inputs import InputKind
from pipelines.isp.mosaic import RAW_SUFFIXES, MosaicInput, read_raw
from pixelperfect_models.errors import UserError


@dataclass(frozen=True)
class RawPath:
    """A RAW file; ``height`` and ``width`` of its rendering, and the part (top, left, height, width) looked at."""

    path: Path
    height: int
    width: int
    box: tuple[int, int, int, int]


class RawPathInput(InputKind):
    """RAW files by their path."""

    name = "RAW file"
    suffixes = RAW_SUFFIXES

    def read(self, path: Path) -> RawPath:
        """Decoded once, for the size and to refuse what is broken."""
        height, width = read_raw(Path(path)).data.shape[-2:]
        return RawPath(Path(path).absolute(), height, width, (0, 0, height, width))

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
        """A plain rendering of that part."""
        top, left, height, width = given.box
        shown = MosaicInput().preview(read_raw(given.path))
        return shown[..., top : top + height, left : left + width].contiguous()
