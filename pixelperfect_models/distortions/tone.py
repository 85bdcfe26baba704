"""Tone: too bright or dark, too steep or flat, too few levels."""

from __future__ import annotations

import cv2
import numpy as np

from .common import Image, Strength, finish, luma, nothing_to_do, random_sign

_GAMMA = 2.2
"""sRGB as a power law: a gain in linear light is then a gain of the encoded value, exact where it is 1."""


def exposure(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """``strength`` stops (EV) too bright or too dark in linear light, clipped at white.

    Imitates wrong metering, gain or digital exposure compensation.
    Source: one stop doubles linear light (ISO 12232); encoded values follow by gamma 2.2.
    """
    sign = random_sign(rng)
    return finish(image * np.exp2(np.float32(sign / _GAMMA) * np.float32(strength)))


def contrast(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """Slope of the tone curve about the picture's mean changed by a factor exp(+-``strength``).

    A straight line, a gamma curve or an S-curve through the mean, so that the brightness stays and what
    changes is the contrast; in luma alone or in each channel. Imitates a wrong tone curve, gamma or local tone mapping.
    Source: contrast change as in TID2013 type 17; the S-curve is the tanh of Photoshop-like sigmoid contrast.
    """
    sign = random_sign(rng)
    kind = rng.choice(("line", "gamma", "sigmoid"))
    tones = luma(image) if rng.random() < 0.5 else image
    pivot = np.float32(np.clip(np.mean(luma(image)), 0.15, 0.85))
    factor = np.exp(np.float32(sign) * np.float32(strength))
    if kind == "line":
        return finish(image + (tones - pivot) * (factor - 1))
    if kind == "gamma":
        relative = np.maximum(tones / pivot, np.float32(1e-3))
        return finish(image + tones * (np.power(relative, factor - 1) - 1))
    # tanh flattens towards black and white: the curve has the wanted slope at the pivot and saturates softly.
    room = np.where(tones < pivot, pivot, 1 - pivot)
    distance = (tones - pivot) / room
    return finish(image + room * (np.tanh(distance * factor) - np.tanh(distance)))


def banding(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Tones rounded to steps of ``strength`` (1/strength levels) in luma, in each channel or in luma and colour apart.

    Without dither. Imitates too few bits in a tone curve, a display or a video path, and small palettes: contours in
    smooth gradients.
    Source: uniform quantisation; TID2013 type 24 and ITU-R BT.2246, section on bit depth.
    """
    kind = rng.choice(("luma", "channels", "luma and colour"), p=(0.35, 0.4, 0.25))
    phase = np.float32(rng.random()) * np.ones(3, dtype=np.float32)
    if rng.random() < 0.5:
        phase = rng.random(3).astype(np.float32)
    coarser = np.float32(rng.uniform(1.0, 2.0))
    if nothing_to_do(strength):
        return image.copy()
    if kind == "luma":
        tones = luma(image)
        return finish(image + _rounded(tones, np.float32(strength), phase[0]) - tones)
    if kind == "channels":
        return finish(_rounded(image, np.float32(strength), phase))
    steps = np.float32(strength) * np.array([1.0, coarser, coarser], dtype=np.float32)
    return finish(cv2.cvtColor(_rounded(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb), steps, phase), cv2.COLOR_YCrCb2RGB))


def _rounded(tones: Image, step: np.ndarray | np.float32, phase: np.ndarray | np.float32) -> Image:
    return (np.round(tones / step - phase) + phase) * step
