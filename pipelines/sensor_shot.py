"""One high-ISO shot of a photo: what the pictures of recipes/denoise.yaml and the training of denoisers are made by."""

from __future__ import annotations

import cv2
import numpy as np

# Daylight white balance of a typical sensor, red and blue against green: their noise is amplified by as much.
GAINS = np.array([2.0, 1.0, 1.6], dtype=np.float32)
_FULL, _PEDESTAL = 40000.0, 4096
_PHASES = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}


def shoot(photo: np.ndarray, photons: float, read_noise: float, rng: np.random.Generator | None) -> np.ndarray:
    """A photo through a camera: linear light, RGGB mosaic, noise, edge-aware demosaicing, back to sRGB.

    The noise is Poisson-Gaussian (Foi et al. 2008, Practical Poissonian-Gaussian noise modeling), the demosaicing
    OpenCV's, of the noisy mosaic. With the same photo and no ``rng`` it gives the clean counterpart, which differs from
    the shot by noise alone.

    Args:
        photo: (H, W, 3) sRGB in [0, 1], sides of at least 4 pixels.
        photons: electrons that white gives in the green channel, > 0.
        read_noise: standard deviation at black, in units of white.
        rng: gives the noise; None for the clean counterpart.

    Returns:
        (H, W, 3) float32 sRGB in [0, 1].
    """
    sensor = _to_linear(photo) / GAINS
    mosaic = np.empty(photo.shape[:2], dtype=np.float64)
    for (row, column), channel in _PHASES.items():
        mosaic[row::2, column::2] = sensor[row::2, column::2, channel]
    if rng is not None:
        mosaic = rng.poisson(mosaic * photons) / photons + rng.normal(0.0, read_noise, mosaic.shape)
    # A pedestal keeps the negative half of the read noise through the unsigned demosaicing.
    raw = np.clip(mosaic * _FULL + _PEDESTAL, 0, 65535).astype(np.uint16)
    rgb = cv2.demosaicing(raw, cv2.COLOR_BayerBG2RGB_EA).astype(np.float64)
    return _to_srgb((rgb - _PEDESTAL) / _FULL * GAINS).astype(np.float32)


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
