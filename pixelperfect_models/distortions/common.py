"""What the distortion functions share: types, luma and chroma, the sRGB transfer curve.

Every distortion function has the signature ``(image, strength, rng) -> image``:

* ``image``: (H, W, 3) float32, sRGB-encoded, in [0, 1], any H, W >= 16;
* ``strength``: a float >= 0 in the type's own unit, 0 being "nothing happens, exactly"; types marked ``local`` in
  :mod:`.table` also take an (H, W, 1) float32 array;
* ``rng``: consumed in an order that does not depend on the strength, so that the same generator state at another
  strength gives the same noise field, direction and variant, only stronger or weaker.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
Strength = float | npt.NDArray[np.float32]

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Luma of gamma-encoded RGB, ITU-R BT.601 (also that of JPEG/JFIF)."""


def nothing_to_do(strength: Strength) -> bool:
    """True where the strength is zero everywhere."""
    return not np.any(strength)


def finish(image: npt.NDArray[np.floating]) -> Image:
    """Clip to [0, 1] and return as contiguous float32."""
    clipped = np.clip(image, 0.0, 1.0)
    return np.ascontiguousarray(clipped, dtype=np.float32)


def luma(image: Image) -> Image:
    """BT.601 luma, (H, W, 1), of an (H, W, 3) picture."""
    return (image @ LUMA_WEIGHTS)[..., None]


def to_channels(plane: Image) -> Image:
    """A plane (H, W) three times, as (H, W, 3): several times faster than broadcasting an (H, W, 1) array."""
    return cv2.merge((plane, plane, plane))


def chroma_to_rgb(cb: Image, cr: Image) -> Image:
    """The RGB difference, (H, W, 3), that two (H, W) colour-difference planes make at constant luma.

    The YCbCr to RGB matrix of ITU-R BT.601 / JFIF with Y = 0.
    """
    return cv2.merge((1.402 * cr, -0.344136 * cb - 0.714136 * cr, 1.772 * cb))


def to_linear(image: Image) -> Image:
    """sRGB-encoded to linear light (IEC 61966-2-1), both in [0, 1]."""
    power = np.power((image + np.float32(0.055)) * np.float32(1 / 1.055), np.float32(2.4))
    return np.where(image <= 0.04045, image * np.float32(1 / 12.92), power)


def to_srgb(linear: Image) -> Image:
    """Linear light to sRGB-encoded (IEC 61966-2-1), both in [0, 1]; negative values are taken as black."""
    linear = np.maximum(linear, np.float32(0))
    power = np.float32(1.055) * np.power(linear, np.float32(1 / 2.4)) - np.float32(0.055)
    return np.where(linear <= 0.0031308, linear * np.float32(12.92), power)


def random_sign(rng: np.random.Generator) -> float:
    """-1.0 or 1.0, equally likely."""
    return 1.0 if rng.random() < 0.5 else -1.0


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A float in [low, high] whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
