"""Where a picture is worst: the boxes that ``tuner compare`` and the report point at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

NOTICEABLE = 0.02
"""The mean excess below which a region is not reported: well under the intensity of a just visible change, 0.1."""


@dataclass(frozen=True)
class Region:
    """A box of pixels and how much more of a distortion the test has there.

    Attributes:
        left, top: the first column and row, pixels from the picture's upper left corner.
        width, height: pixels.
        excess: the mean signed excess in the box, in intensity units [-1, 1].
    """

    left: int
    top: int
    width: int
    height: int
    excess: float

    def as_dict(self) -> dict[str, float]:
        """The region as plain numbers, for JSON."""
        return {
            "left": self.left,
            "top": self.top,
            "width": self.width,
            "height": self.height,
            "excess": round(self.excess, 4),
        }


def worst_region(excess: np.ndarray, signed: bool = False) -> Region | None:
    """The box where the test has most more of a distortion than the reference.

    The positive part of the map (of a signed channel: its absolute value) is averaged over windows of an eighth of
    the shorter side (at least 8 pixels), so that a single pixel does not decide. Around the window with the highest
    average, up to one and a half windows away, the connected area above half of that average is taken; the region is
    its bounding box. A distortion that is everywhere alike thus gives a box of about three windows, not the whole
    picture.

    Args:
        excess: signed excess, (H, W) in [-1, 1].
        signed: whether the map's channel is one of ``SIGNED_CHANNELS``, where both directions are wrong.

    Returns:
        The region, or None where neither the window nor the box reaches a mean of ``NOTICEABLE``.
    """
    height, width = excess.shape
    window = max(8, min(height, width) // 8)
    smooth = ndimage.uniform_filter(
        (np.abs(excess) if signed else np.maximum(excess, 0.0)).astype(np.float64), window, mode="nearest"
    )
    row, column = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
    if smooth[row, column] < NOTICEABLE:
        return None
    reach = 3 * window // 2
    top, left = max(0, int(row) - reach), max(0, int(column) - reach)
    near = smooth[top : int(row) + reach + 1, left : int(column) + reach + 1]
    areas, _ = ndimage.label(near >= 0.5 * smooth[row, column])
    rows, columns = ndimage.find_objects(areas)[areas[row - top, column - left] - 1]
    region = region_at(
        excess, left + columns.start, top + rows.start, columns.stop - columns.start, rows.stop - rows.start
    )
    return region if (abs(region.excess) if signed else region.excess) >= NOTICEABLE else None


def region_at(excess: np.ndarray, left: int, top: int, width: int, height: int) -> Region:
    """The region of a given box: its mean signed excess on the map ``excess`` (H, W)."""
    box = excess[top : top + height, left : left + width]
    return Region(left, top, width, height, float(box.mean()))
