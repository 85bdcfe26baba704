"""The Bayer colour filter array: which pixel sees which colour, and the bilinear way back."""

from __future__ import annotations

import cv2
import numpy as np

from .common import Image

_GREEN_KERNEL = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], dtype=np.float32) / 4
_RED_BLUE_KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32) / 4


def channel_masks(shape: tuple[int, int], phase: tuple[int, int], pitch: int = 1) -> Image:
    """Which colour each pixel sees: (H, W, 3), one 1.0 in each pixel.

    Args:
        shape: height and width.
        phase: row and column (0 or 1) of the red pixel in the 2 x 2 cell: (0, 0) is RGGB.
        pitch: side of a filter in pixels: 1 is Bayer, 2 is Quad Bayer (four neighbours share a filter).
    """
    rows = (np.arange(shape[0]) // pitch + phase[0]) % 2
    columns = (np.arange(shape[1]) // pitch + phase[1]) % 2
    red = (rows == 0)[:, None] & (columns == 0)[None, :]
    blue = (rows == 1)[:, None] & (columns == 1)[None, :]
    return np.stack([red, ~(red | blue), blue], axis=-1).astype(np.float32)


def mosaic(image: Image, masks: Image) -> Image:
    """What the sensor sees of an (H, W, 3) picture through the filters: (H, W)."""
    return np.einsum("hwc,hwc->hw", masks, image)


def demosaic_bilinear(seen: Image, masks: Image) -> Image:
    """Bilinear demosaicing of a Bayer mosaic (H, W) with the masks of :func:`channel_masks` (pitch 1).

    Missing values are the mean of the two or four nearest ones; known ones are kept. Mirroring about the edge
    pixel keeps the phase of the array, so the border needs nothing special.
    Source: the baseline of Malvar, He and Cutler 2004.
    """
    samples = masks * seen[..., None]
    result = np.empty_like(samples)
    for channel, kernel in enumerate((_RED_BLUE_KERNEL, _GREEN_KERNEL, _RED_BLUE_KERNEL)):
        plane = np.ascontiguousarray(samples[..., channel])
        result[..., channel] = cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return result


def demosaic_weighted(seen: Image, masks: Image, reach: int) -> Image:
    """Missing values as the tent-weighted mean of the samples within ``reach`` px, for any array (Quad Bayer: 3).

    Known values are kept.
    Source: normalised convolution, Knutsson and Westin 1993.
    """
    tent = np.minimum(np.arange(1, 2 * reach + 2), np.arange(2 * reach + 1, 0, -1)).astype(np.float32)
    border = cv2.BORDER_REFLECT
    total = cv2.sepFilter2D(masks * seen[..., None], -1, tent, tent, borderType=border)
    rebuilt = total / cv2.sepFilter2D(masks, -1, tent, tent, borderType=border)
    return np.where(masks > 0, seen[..., None], rebuilt)
