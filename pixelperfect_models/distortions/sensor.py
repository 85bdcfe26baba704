"""Camera noise: photons and electronics under a colour filter array, developed to a JPEG-like picture."""

from __future__ import annotations

import cv2
import numpy as np

from .bayer import channel_masks, demosaic_bilinear, mosaic
from .common import LUMA_WEIGHTS, Image, Strength, finish, log_uniform, nothing_to_do, to_channels, to_linear, to_srgb


def sensor_noise(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """Poisson-Gaussian noise in linear light, mosaicked, demosaicked, smoothed as cameras do, gamma-encoded.

    ``strength`` is the deviation of the linear luma noise at full white; the variance falls linearly towards
    black, where the read noise remains. Only the noise is mosaicked, so clean detail stays clean.
    Imitates high-ISO camera JPEGs. On PolyU crops luma noise has a neighbour correlation of 0.3 to 0.7, chroma
    noise 0.8 to 0.94 and a third to two thirds of the luma's deviation, and both fade in the highlights.
    Source: the Gaussian form of the Poissonian-Gaussian model, Foi et al. 2008, equation 3; the rest of the
    chain after Brooks et al. 2019 (Unprocessing); the figures measured on PolyU (Xu et al. 2018).
    """
    linear = to_linear(image)
    field = _developed_noise(linear, image @ LUMA_WEIGHTS, rng)
    if nothing_to_do(strength):
        return image.copy()
    # The difference of two encodings, so that no noise is no change, to the last bit.
    return finish(image + (to_srgb(linear + strength * field) - to_srgb(linear)))


def _developed_noise(linear: Image, brightness: Image, rng: np.random.Generator) -> Image:
    """Noise in linear RGB (H, W, 3) of unit strength, as it is after demosaicing and in-camera denoising.

    Args:
        linear: the picture in linear light, (H, W, 3).
        brightness: its encoded luma, (H, W).
        rng: gives the noise and the camera: gains, read noise, smoothing, tone curve.
    """
    shape = linear.shape[:2]
    white = rng.standard_normal(shape, dtype=np.float32)
    phase = (int(rng.integers(2)), int(rng.integers(2)))
    gains = np.array([rng.uniform(1.2, 2.2), 1.0, rng.uniform(1.2, 2.2)], dtype=np.float32)
    read_noise = log_uniform(rng, 0.003, 0.05)
    luma_sigma, chroma_sigma = rng.uniform(0.0, 0.9), rng.uniform(1.2, 4.5)
    coarse_share, chroma_ratio = rng.uniform(0.0, 0.25), rng.uniform(0.3, 0.8)
    toe, shoulder = rng.uniform(0.0, 0.3), rng.uniform(0.4, 0.8)

    masks = channel_masks(shape, phase)
    # White balance multiplies a channel after exposure: less light was caught, its noise is multiplied too.
    gain = masks @ gains
    variance = gain * (mosaic(linear, masks) + np.float32(read_noise) * gain)
    noise = demosaic_bilinear(white * np.sqrt(variance), masks)

    grey = noise @ LUMA_WEIGHTS
    colour = _smooth(noise - to_channels(grey), chroma_sigma)
    # Denoisers remove fine grain better than coarse: some grain of several pixels is left over.
    grey = _unit(_smooth(grey, luma_sigma)) + np.float32(coarse_share) * _unit(_smooth(grey, 3.0))
    # Toe and shoulder of a camera's tone curve compress shadows and highlights, noise included.
    slope = (brightness + 0.02) / (brightness + np.float32(0.02 + toe)) * (1 - np.float32(shoulder) * brightness**2)
    # Smoothing took away an amount that depends on the camera: scale back to the deviation asked for.
    deviation = np.sqrt(np.mean(variance))
    developed = to_channels(_unit(grey)) + np.float32(chroma_ratio) * _unit(colour)
    return developed * to_channels(deviation * slope)


def _unit(field: Image) -> Image:
    """Scaled to deviation 1 (its mean is near 0)."""
    return field * np.float32(np.sqrt(field.size) / (np.linalg.norm(field) + 1e-9))


def _smooth(planes: Image, sigma: float) -> Image:
    if sigma < 0.05:
        return planes
    return cv2.GaussianBlur(planes, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
