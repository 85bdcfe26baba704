"""Additive noise on encoded values: grey, coloured, correlated, and single wrong pixels."""

from __future__ import annotations

import cv2
import numpy as np

from .common import Image, Strength, chroma_to_rgb, finish, to_channels


def blob_noise(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> Image:
    """Gaussian noise (H, W) of mean 0 and variance 1, correlated by a Gaussian kernel of ``sigma`` px (0: white)."""
    field = rng.standard_normal(shape, dtype=np.float32)
    if sigma <= 0.0:
        return field
    size = 2 * int(np.ceil(3 * sigma)) + 1
    kernel = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    # White noise through a separable kernel keeps the share (sum of squares)^2 of its variance.
    smooth = cv2.sepFilter2D(field, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
    return smooth / np.float32(np.sum(kernel**2))


def luma_noise(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """White Gaussian noise of standard deviation ``strength``, the same in R, G and B.

    Imitates the residue of a pipeline that removes chroma noise but leaves luma grain.
    Source: additive white Gaussian noise in luma, TID2013 types 1 and 2 (Ponomarenko et al. 2015).
    """
    return finish(image + strength * to_channels(blob_noise(image.shape[:2], 0.0, rng)))


def chroma_noise(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """Gaussian noise in Cb and Cr of standard deviation ``strength`` at constant luma, white to 3 px blotches.

    Imitates the colour blotches of high-ISO shots, which demosaicing and 4:2:0 spread over several pixels: in the
    PolyU camera crops neighbouring chroma samples correlate by 0.8 to 0.94, luma ones by 0.3 to 0.7.
    Source: TID2013 type 2 (noise stronger in colour); correlation lengths measured on PolyU (Xu et al. 2018).
    """
    sigma = max(0.0, rng.uniform(-0.6, 2.4))
    cb, cr = blob_noise(image.shape[:2], sigma, rng), blob_noise(image.shape[:2], sigma, rng)
    return finish(image + strength * chroma_to_rgb(cb, cr))


def correlated_noise(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """Gaussian noise in luma (deviation ``strength``) and colour (0.6 of that), white to blobs of 2.5 px.

    One time in four it is white and each of R, G and B has its own: the additive noise of most test sets. Imitates
    noise before and after interpolation, scaling or a denoiser too weak for it.
    Source: additive and spatially correlated noise, TID2013 types 1 and 3 (Ponomarenko et al. 2015).
    """
    sigma = rng.uniform(-0.7, 2.5)
    shape = image.shape[:2]
    if sigma <= 0.0:
        planes = [blob_noise(shape, 0.0, rng) for _ in range(3)]
        # Luma weighs the three independent channels by 0.299, 0.587 and 0.114: 0.67 of their deviation is left.
        return finish(image + strength / np.float32(0.67) * np.stack(planes, axis=-1))
    sigma = max(sigma, 0.4)
    grey = to_channels(blob_noise(shape, sigma, rng))
    cb, cr = blob_noise(shape, sigma, rng), blob_noise(shape, sigma, rng)
    # Cb and Cr of equal deviation make RGB differences of about 1.4 times that deviation.
    return finish(image + strength * (grey + 0.6 / 1.4 * chroma_to_rgb(cb, cr)))


def impulse_noise(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """A share ``strength`` of the pixels replaced: salt and pepper, or random values, grey.

    Imitates hot and dead pixels, and bit errors. A pixel hit at one strength is hit at every higher one.
    Source: impulse noise, TID2013 type 6; random-valued variant as in Gonzalez and Woods, section 5.2.
    """
    shape = image.shape[:2]
    order = to_channels(rng.random(shape, dtype=np.float32))
    value = to_channels(rng.random(shape, dtype=np.float32))
    if rng.random() < 0.5:
        value = np.round(value)
    return finish(np.where(order < strength, value, image))
