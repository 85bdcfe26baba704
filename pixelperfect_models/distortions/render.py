"""Distort a photo by one type with an intensity that may differ from pixel to pixel.

Local types take a strength per pixel. The others (blurs, codecs, resampling) are rendered at a few strengths from
the same random state and blended per pixel between the two neighbouring levels, so that a map's zero leaves the
pixel exactly as it was and the place of every intensity is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelperfect_models.distortions import severity
from pixelperfect_models.distortions.common import random_sign

Intensity = float | np.ndarray

_UNIFORM = 1e-4  # a map whose values differ by less is one strength


def _levels(lowest: float, highest: float) -> list[float]:
    # Geometric below the peak: perceived steps of a blend are largest near zero. A narrow range needs one level
    # at its bottom (everything lies between them) and one at its top.
    if lowest > 0.4 * highest:
        return [lowest, highest]
    return [0.45 * highest, highest] if highest < 0.5 else [0.25 * highest, 0.55 * highest, highest]


def layer_sign(seed: int) -> int:
    """+1 or -1: which way a type of a signed channel goes when :func:`render` is given ``default_rng(seed)``.

    Those types draw :func:`.common.random_sign` first: +1 is brighter, steeper, more vivid, warmer.
    """
    return int(random_sign(np.random.default_rng(int(np.random.default_rng(seed).integers(2**63)))))


def render(image: np.ndarray, name: str, intensity: Intensity, rng: np.random.Generator) -> np.ndarray:
    """Apply one distortion type.

    Args:
        image: (H, W, 3) float32, sRGB-encoded, in [0, 1].
        name: type, a key of ``DISTORTIONS``.
        intensity: a number in [0, 2] or an (H, W) map of such; 0 leaves the pixel as it is. Strengths above 1 are
            those of :func:`.severity.strength`.
        rng: advanced by exactly one draw, whatever the type and the map.

    Returns:
        (H, W, 3) float32 in [0, 1], a new array.

    Raises:
        UserError: unknown type.
        ValueError: intensity outside [0, 2], or a map of another size than the image.
    """
    distortion = severity.find(name)
    seed = int(rng.integers(2**63))

    # Any: the table declares float for all types, of which the local ones also take an array.
    def at(strength: Any) -> np.ndarray:
        result = distortion.function(image, strength, np.random.default_rng(seed))
        return np.asarray(result, dtype=np.float32)

    values = np.asarray(intensity, dtype=np.float32)
    if values.ndim and values.shape != image.shape[:2]:
        raise ValueError(f"intensity map of {values.shape} for an image of {image.shape[:2]}")
    lowest, highest = float(values.min()), float(values.max())
    if not (lowest >= 0.0 and highest <= severity.BEYOND):
        raise ValueError(f"intensity of {name}: {lowest:g} to {highest:g}, expected 0 to {severity.BEYOND:g}")
    if highest == 0.0:
        return image.copy()
    if highest - lowest < _UNIFORM:
        return at(severity.strength(name, highest))
    if distortion.local:
        result = at(severity.strength(name, values)[:, :, None])
    else:
        levels = _levels(lowest, highest)
        result = _blend(image, values, [at(severity.strength(name, level)) for level in levels], levels)
    return np.where(values[:, :, None] > 0, result, image)


def _blend(image: np.ndarray, values: np.ndarray, pictures: list[np.ndarray], levels: list[float]) -> np.ndarray:
    # Sum of pictures times the hat function of their level; the photo itself is level 0.
    result = image.copy()
    below, previous = image, 0.0
    for picture, level in zip(pictures, levels, strict=True):
        share = np.clip((values - previous) / (level - previous), 0.0, 1.0)[:, :, None]
        result += share * (picture - below)
        below, previous = picture, level
    return np.clip(result, 0.0, 1.0)
