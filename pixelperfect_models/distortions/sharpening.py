"""Sharpening overdone."""

from __future__ import annotations

import cv2
import numpy as np

from .common import Image, Strength, finish, luma


def oversharpening(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """Unsharp mask of amount ``strength`` and radius 0.8 to 2.5 px: halos on both, or mostly on one, side of edges.

    Imitates sharpening stages and local-contrast ("clarity") settings turned too high.
    Source: unsharp masking, Gonzalez and Woods, Digital Image Processing, section 3.6.
    """
    sigma = rng.uniform(0.8, 2.5)
    in_luma = rng.random() < 0.6
    bright_halo, dark_halo = ((1.0, 1.0), (1.3, 0.4), (0.4, 1.3))[int(rng.integers(3))]
    tones = luma(image) if in_luma else image
    smooth = cv2.GaussianBlur(tones, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).reshape(tones.shape)
    detail = tones - smooth
    detail = np.where(detail > 0, np.float32(bright_halo), np.float32(dark_halo)) * detail
    return finish(image + strength * detail)
