"""What a pipeline is given: how one input is read from disk, checked, cropped and shown.

Most pipelines take pictures and need nothing of this. One that takes something else (a RAW mosaic, a burst of frames)
sets ``input`` to an :class:`InputKind` of its own; recipes, ``tuner apply`` and the report then read, crop and show
its inputs by that kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import MIN_SIDE, SUFFIXES, read_image


class InputKind(ABC):
    """One kind of input. What ``read`` returns is opaque to everyone else.

    Attributes:
        name: what an error message calls it, such as "picture".
        suffixes: file name endings, lower case, that a glob in a recipe is filtered by.
        align: crops start at a multiple of this many pixels and have sides that are a multiple of it (2 for a Bayer
            mosaic, so that its CFA phase stays).
    """

    name: str
    suffixes: tuple[str, ...]
    align: int = 1

    def accepts(self, path: Path) -> bool:
        """Whether ``path`` is one input of this kind; a kind that is read from folders says so here."""
        return path.suffix.lower() in self.suffixes and path.is_file()

    @abstractmethod
    def read(self, path: Path) -> Any:
        """Read one input. Raises UserError that names the file and what would be right."""

    @abstractmethod
    def check(self, given: Any) -> None:
        """Raise UserError unless ``given`` is a sound input of this kind."""

    @abstractmethod
    def like(self, given: Any) -> Tensor:
        """A tensor of the output's shape (N, 3, H, W), dtype and device; its values mean nothing and cost nothing."""

    @abstractmethod
    def crop(self, given: Any, top: int, left: int, height: int, width: int) -> Any:
        """The part of the input that gives these output pixels; all four are multiples of ``align``."""

    @abstractmethod
    def preview(self, given: Any) -> Tensor:
        """The input as a picture, (N, 3, H, W) in [0, 1]: what a report shows, and ``reference: input``."""


class Pictures(InputKind):
    """sRGB pictures, (N, 3, H, W) float tensors in [0, 1]."""

    name = "picture"
    suffixes = SUFFIXES

    def read(self, path: Path) -> Tensor:
        """(1, 3, H, W) float32."""
        return read_image(path)

    def check(self, given: Any) -> None:
        """Raise UserError unless it is a finite float (N, 3, H, W) tensor, sides of at least 16 px."""
        check_image(given)

    def like(self, given: Tensor) -> Tensor:
        """The picture itself."""
        return given

    def crop(self, given: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
        """A copy of that part."""
        return given[..., top : top + height, left : left + width].contiguous()

    def preview(self, given: Tensor) -> Tensor:
        """The picture itself."""
        return given


PICTURES = Pictures()


def check_image(image: Any) -> None:
    """Raise UserError unless ``image`` is a finite float (N, 3, H, W) tensor, sides of at least 16 px."""
    if not isinstance(image, Tensor):
        raise UserError(f"image is a {type(image).__name__}, expected a torch tensor (N, 3, H, W)")
    if image.ndim != 4 or image.shape[1] != 3 or image.shape[0] < 1:
        raise UserError(f"image has shape {tuple(image.shape)}, expected (N, 3, H, W)")
    if min(image.shape[2:]) < MIN_SIDE:
        raise UserError(
            f"image is {image.shape[3]} x {image.shape[2]} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}"
        )
    if image.dtype not in (torch.float32, torch.float64):
        raise UserError(f"image is {image.dtype}, expected float32 or float64 in [0, 1]")
    if not bool(torch.isfinite(image).all()):
        raise UserError("image holds NaN or infinite values, expected values in [0, 1]")


def centre_box(height: int, width: int, side: int | None, align: int = 1) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the middle ``side`` x ``side`` pixels; a smaller side, or all for None, stays.

    With ``align`` above 1 what is cut starts at multiples of it and has sides that are multiples of it.
    """
    if side is None:
        return 0, 0, height, width
    spans = []
    for whole in (height, width):
        if whole <= side:
            spans.append((0, whole))
        else:
            part = side - side % align
            start = (whole - part) // 2
            spans.append((start - start % align, part))
    (top, rows), (left, columns) = spans
    return top, left, rows, columns
