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
    exponent = 0.7 if rng.random() < 0.5 else -1.0
    factor = np.exp(np.float32(exponent) * np.float32(strength))
    return finish(image + (image - to_channels(image @ LUMA_WEIGHTS)) * (factor - 1))


def color_cast(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """White-balance gains of ``strength`` in a random direction, or colours turned about grey by a matrix.

    The gains are exp(strength x direction) on encoded values, the direction warm or cool with some green or magenta,
    and leave the luma of grey unchanged. The matrix (a third of the time) keeps grey and rotates hues.
    Imitates a wrong white balance or colour-correction matrix.
    Source: von Kries scaling; hue rotation about the grey axis, Haeberli 1993.
    """
    by_matrix = rng.random() < 1 / 3
    sign = np.float32(random_sign(rng))
    tint = rng.uniform(-0.6, 0.6)
    if by_matrix:
        # The infinitesimal rotation about (1, 1, 1): rows sum to 0, so grey is kept; luma is put back.
        turn = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=np.float32)
        turn = turn - LUMA_WEIGHTS @ turn
        return finish(image + sign * np.float32(1.4) * np.float32(strength) * (image @ turn.T))
    direction = np.array([1.0, -tint, -1.0], dtype=np.float32)
    direction = sign * (direction - LUMA_WEIGHTS @ direction)
    return finish(image * np.exp(direction * np.float32(strength)))
