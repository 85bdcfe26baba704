"""Loss of sharpness: a smoothing kernel, a lens out of focus, a camera that moved."""

from __future__ import annotations

import cv2
import numpy as np

from .common import Image, finish, nothing_to_do

_TILE = 11


def gaussian_blur(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Gaussian kernel of ``strength`` px standard deviation, on encoded values.

    Imitates any smoothing stage of a pipeline (the blur of TID2013 and LIVE is this one).
    Source: Ponomarenko et al. 2015 (TID2013), type 8.
    """
    if nothing_to_do(strength):
        return image.copy()
    size = 2 * int(np.ceil(4 * strength)) + 1
    return finish(cv2.GaussianBlur(image, (size, size), strength, borderType=cv2.BORDER_REFLECT_101))


def defocus_blur(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Disc kernel of radius ``strength`` px with a soft rim, in (approximately) linear light.

    Imitates a lens out of focus: geometric optics spreads each point over the image of the aperture.
    Light adds linearly, so the kernel works on squared values (gamma 2), and bright points grow to discs.
    Source: circle of confusion, e.g. Goodman, Introduction to Fourier Optics, section 6.4.
    """
    if nothing_to_do(strength):
        return image.copy()
    reach = int(np.ceil(strength)) + 1
    offset = np.arange(-reach, reach + 1, dtype=np.float32)
    distance = np.hypot(offset[:, None], offset[None, :])
    # The rim falls off over one pixel beyond the radius: at radius 0 only the centre remains, and no
    # radius just above 0 is without effect.
    return _blur_light(image, np.clip(strength + 1.0 - distance, 0.0, 1.0))


def motion_blur(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Path of ``strength`` px at a random angle, slightly bent half of the time, in linear light.

    Imitates camera shake and moving subjects during the exposure.
    Source: uniform linear motion, Gonzalez and Woods, Digital Image Processing, section 5.6; the bend after the
    hand-shake paths of Delbracio and Sapiro 2015.
    """
    angle = rng.uniform(0.0, np.pi)
    bend = rng.uniform(-0.6, 0.6) if rng.random() < 0.5 else 0.0
    if nothing_to_do(strength):
        return image.copy()
    along = np.linspace(-0.5, 0.5, 2 * int(np.ceil(strength)) * 4 + 1)
    across = bend * (along**2 - np.mean(along**2))
    x = strength * (along * np.cos(angle) - across * np.sin(angle))
    y = strength * (along * np.sin(angle) + across * np.cos(angle))
    return _blur_light(image, _splat(x, y))


def _splat(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Draw points (px, relative to the kernel's centre) into a kernel, each shared by its four neighbours."""
    reach = int(np.ceil(max(np.abs(x).max(), np.abs(y).max()))) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = x - column, y - row
    for step_y, weight_y in ((0, 1 - below), (1, below)):
        for step_x, weight_x in ((0, 1 - right), (1, right)):
            np.add.at(kernel, (row + step_y + reach, column + step_x + reach), weight_y * weight_x)
    return kernel


def _blur_light(image: Image, kernel: np.ndarray) -> Image:
    """Convolve squared values (gamma 2 is near enough to sRGB here, and cheap) and encode again."""
    kernel = (kernel / kernel.sum()).astype(np.float32)
    light = _correlate(image * image, kernel)
    return finish(np.sqrt(np.maximum(light, 0.0)))


def _correlate(image: Image, kernel: np.ndarray) -> Image:
    """``cv2.filter2D`` in tiles of at most 11 x 11, empty ones left out.

    Above that size OpenCV goes through a Fourier transform, which at 256 x 256 px takes three times as long.
    """
    height, width = image.shape[:2]
    reach = kernel.shape[0] // 2
    padded = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REFLECT_101)
    total = np.zeros_like(image)
    for top in range(0, kernel.shape[0], _TILE):
        for left in range(0, kernel.shape[1], _TILE):
            tile = kernel[top : top + _TILE, left : left + _TILE]
            if tile.any():
                rows, columns = height + tile.shape[0] - 1, width + tile.shape[1] - 1
                seen = padded[top : top + rows, left : left + columns]
                total += cv2.filter2D(seen, -1, tile, anchor=(0, 0))[:height, :width]
    return total
