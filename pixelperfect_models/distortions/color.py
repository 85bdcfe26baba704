"""Colour: too vivid or too dull, a cast, a wrong colour matrix."""

from __future__ import annotations

import numpy as np

from .common import LUMA_WEIGHTS, Image, Strength, finish, random_sign, to_channels


def saturation(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """Distance of every colour from grey of the same luma multiplied by exp(-``strength``) or exp(0.7 ``strength``).

    The 0.7 makes equal strengths look alike in both directions.
    Imitates a wrong saturation setting or colour matrix gain.
    Source: TID2013 type 18 (change of colour saturation); BT.601 luma.
    """
    exponent = 0.7 if random_sign(rng) > 0 else -1.0
    factor = np.exp(np.float32(exponent) * np.float32(strength))
    return finish(image + (image - to_channels(image @ LUMA_WEIGHTS)) * (factor - 1))


def color_cast(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """White-balance gains of ``strength`` towards warm or cool, with some green or magenta, or one offset everywhere.

    The gains are exp(strength x direction) on encoded values and leave the luma of grey unchanged; one time in three
    it is 0.4 times that exponent, added to dark and bright tones alike.
    Imitates a wrong white balance, and wrong black levels or colour grading.
    Source: von Kries scaling.
    """
    sign = np.float32(random_sign(rng))
    tint = rng.uniform(-0.6, 0.6)
    offset = rng.random() < 1 / 3
    direction = np.array([1.0, -tint, -1.0], dtype=np.float32)
    direction = sign * (direction - LUMA_WEIGHTS @ direction)
    if offset:
        return finish(image + direction * (np.float32(0.4) * strength))
    return finish(image * np.exp(direction * np.float32(strength)))
