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


def worst_region(excess: np.ndarray) -> Region | None:
    """The box where the test has most more of a distortion than the reference.

    The positive part of the map is averaged over windows of an eighth of the shorter side (at least 8 pixels), so
    that a single pixel does not decide. Around the highest average, the connected area above half of it is taken;
    the region is its bounding box.

    Args:
        excess: signed excess, (H, W) in [-1, 1].

    Returns:
        The region, or None where no window reaches a mean of ``NOTICEABLE``.
    """
    height, width = excess.shape
    window = max(8, min(height, width) // 8)
    smooth = ndimage.uniform_filter(np.maximum(excess, 0.0).astype(np.float64), window, mode="nearest")
    peak = np.unravel_index(int(np.argmax(smooth)), smooth.shape)
    if smooth[peak] < NOTICEABLE:
        return None
    areas, _ = ndimage.label(smooth >= 0.5 * smooth[peak])
    rows, columns = ndimage.find_objects(areas)[areas[peak] - 1]
    return region_at(excess, columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)


def region_at(excess: np.ndarray, left: int, top: int, width: int, height: int) -> Region:
    """The region of a given box: its mean signed excess on the map ``excess`` (H, W)."""
    box = excess[top : top + height, left : left + width]
    return Region(left, top, width, height, float(box.mean()))
