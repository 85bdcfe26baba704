"""Too few samples: scaling down and up again, crudely or softly, and mosaics."""

from __future__ import annotations

import cv2
import numpy as np

from .bayer import channel_masks, demosaic_bilinear, demosaic_weighted, mosaic
from .common import Image, Strength, finish, nothing_to_do

# Down and up again. Filtered down and smooth up is missing on purpose: that is blur, not aliasing (`upscaling`).
_RESIZES = (
    (cv2.INTER_NEAREST, cv2.INTER_NEAREST),
    (cv2.INTER_NEAREST, cv2.INTER_LINEAR),
    # Sampled about the pixels' centres, without the half pixel by which OpenCV's plain one moves the picture.
    (cv2.INTER_NEAREST_EXACT, cv2.INTER_NEAREST_EXACT),
    (cv2.INTER_NEAREST_EXACT, cv2.INTER_LINEAR),
    (cv2.INTER_AREA, cv2.INTER_NEAREST),
    (cv2.INTER_LINEAR, cv2.INTER_NEAREST),
)


def downsampling(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Scaled down by 1 + ``strength`` and up again, at least one of them crudely: stair-steps and moire.

    Imitates digital zoom, cheap scalers and pixel binning.
    Source: aliasing by sampling below the Nyquist rate; the resamplers are OpenCV's.
    """
    down, up = _RESIZES[int(rng.integers(len(_RESIZES)))]
    small = _smaller(image, strength)
    if small is None:
        return image.copy()
    return _faded_in(image, cv2.resize(image, small, interpolation=down), up, strength)


def upscaling(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Scaled down by 1 + ``strength`` through a filter and smoothly up again: soft, without stair-steps.

    Imitates pictures enlarged from a smaller stream, proxy or sensor mode. The filter is a box, or a Gaussian before
    bicubic sampling; up again it is linear, bicubic or Lanczos.
    Source: separable resampling, Turkowski 1990; the resamplers are OpenCV's.
    """
    box = rng.random() < 0.5
    up = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)[int(rng.integers(3))]
    small = _smaller(image, strength)
    if small is None:
        return image.copy()
    if box:
        reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    else:
        # Half a destination pixel of deviation passes little above the new Nyquist frequency.
        filtered = cv2.GaussianBlur(image, (0, 0), max(0.3, 0.4 * (1 + strength)), borderType=cv2.BORDER_REFLECT_101)
        reduced = cv2.resize(filtered, small, interpolation=cv2.INTER_CUBIC)
    return _faded_in(image, reduced, up, strength)


def _smaller(image: Image, strength: float) -> tuple[int, int] | None:
    """(width, height) divided by 1 + ``strength``; None where that leaves the size as it is."""
    if nothing_to_do(strength):
        return None
    height, width = image.shape[:2]
    small = (max(1, round(width / (1 + strength))), max(1, round(height / (1 + strength))))
    return None if small == (width, height) else small


def _faded_in(image: Image, reduced: Image, up: int, strength: float) -> Image:
    """``reduced`` scaled up again by the resampler ``up``, blended with ``image`` below strength 1."""
    height, width = image.shape[:2]
    scaled = cv2.resize(reduced, (width, height), interpolation=up)
    # Leaving out the first pixel already moves half of the others by half a pixel: fade that step in.
    return finish(image + np.float32(min(1.0, strength)) * (scaled - image))


def demosaicing(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """The error of simple demosaicing, times ``strength`` (1: as it comes): zipper edges and false colour.

    Bayer with bilinear interpolation, or Quad Bayer with a weighted mean, which errs over longer distances.
    Imitates cheap or wrongly phased demosaicing and missing optical low-pass filters (strength above 1).
    Source: the artefacts described in Malvar, He and Cutler 2004; Quad Bayer after Kim et al. 2019.
    """
    quad = rng.random() < 0.4
    phase = (int(rng.integers(2)), int(rng.integers(2)))
    masks = channel_masks(image.shape[:2], phase, pitch=2 if quad else 1)
    seen = mosaic(image, masks)
    rebuilt = demosaic_weighted(seen, masks, reach=3) if quad else demosaic_bilinear(seen, masks)
    # Quad Bayer errs about twice as much: the factor makes equal strengths look alike.
    return finish(image + (0.5 * strength if quad else strength) * (rebuilt - image))
