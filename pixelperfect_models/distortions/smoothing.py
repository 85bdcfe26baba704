"""Denoisers that take the texture with the noise."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .common import Image, finish, luma, nothing_to_do

_SCALES = 3


def denoiser_smoothing(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """A denoiser told to expect noise of deviation ``strength`` on a clean picture: texture goes, edges stay.

    Guided filter, bilateral filter or non-local means, by chance, at three scales from coarse to fine, as camera
    pipelines do to reach blotches of several pixels. Imitates the watercolour look of strong noise reduction.
    Source: He et al. 2013 (guided), Tomasi and Manduchi 1998 (bilateral), Buades et al. 2005 (non-local means).
    """
    kind = rng.choice(("guided", "bilateral", "non-local"), p=(0.3, 0.5, 0.2))
    radius = int(rng.integers(2, 5))
    if nothing_to_do(strength):
        return image.copy()
    if kind == "guided":
        return finish(_coarse_to_fine(image, lambda picture: guided_filter(picture, radius, strength)))
    if kind == "bilateral":
        return finish(_coarse_to_fine(image, lambda picture: _bilateral_filter(picture, radius, strength)))
    return finish(_coarse_to_fine(image, lambda picture: _non_local_means(picture, strength)))


def _coarse_to_fine(image: Image, denoise: Callable[[Image], Image], scales: int = _SCALES) -> Image:
    """Apply ``denoise`` to a pyramid of halved pictures, each after the correction found on the coarser one."""
    height, width = image.shape[:2]
    if scales > 1:
        coarse = cv2.resize(image, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
        correction = _coarse_to_fine(coarse, denoise, scales - 1) - coarse
        image = image + cv2.resize(correction, (width, height), interpolation=cv2.INTER_LINEAR)
    return denoise(image)


def guided_filter(image: Image, radius: int, strength: float) -> Image:
    """Each channel filtered with itself as guide: windows of deviation far below ``strength`` become their mean.

    Source: He, Sun and Tang 2013, equations 5, 6 and 8, with guide equal to input and epsilon = strength^2.
    """
    window = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(image, window)
    variance = np.maximum(cv2.blur(image * image, window) - mean * mean, 0.0)
    slope = variance / (variance + np.float32(strength**2))
    return cv2.blur(slope, window) * image + cv2.blur((1 - slope) * mean, window)


def _bilateral_filter(image: Image, radius: int, strength: float) -> Image:
    return cv2.bilateralFilter(image, 2 * radius + 1, 2.8 * strength, 0.6 * radius)


def _non_local_means(image: Image, strength: float) -> Image:
    """OpenCV's 8-bit non-local means on luma, a guided filter on colour, which the eye resolves less."""
    grey = luma(image)
    eight_bit = np.clip(grey * 255.0 + 0.5, 0, 255).astype(np.uint8)
    smooth = cv2.fastNlMeansDenoising(eight_bit, None, 0.6 * 255.0 * strength, 3, 7)[..., None]
    # Blending in over the first grey level hides the rounding to 8 bits at vanishing strength.
    blend = np.float32(min(1.0, 255.0 * strength))
    smooth_grey = grey + blend * (smooth.astype(np.float32) / np.float32(255) - grey)
    return smooth_grey + guided_filter(image - grey, 3, strength)
