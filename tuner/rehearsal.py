"""Tuning without a ground truth by rehearsal: the picture's own noise on a stand-in that is known.

Of a noisy picture two things can be had without a truth: a clean picture of much the same content, by any good
denoiser, and its noise (:mod:`tuner.noise_model`). The stand-in with such noise on it anew is a picture like the noisy
one, whose truth is known to the last pixel. Parameters that serve it best serve the noisy one well: they are found by
comparing with the truth, by any strategy. This is the parametric bootstrap (Efron, 1979).

What the stand-in lacks, the finest texture, is not missed in the rehearsal: a denoiser that removes it gets away with
that. docs/rehearsal.md says how near it comes, measured with hidden truths.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from pixelperfect_models.images import to_array, to_tensor
from tuner.noise_model import measure_noise

STRENGTH = 1.3
"""Of the denoiser that makes the stand-in, in deviations of the noise: noise that is left counts as detail afterwards,
and the search would learn to keep it (docs/experiments.md)."""

_COLOR_STRENGTH = 1.3
"""Of the colour planes against the lightness: noise is coarser there, and the eye misses less."""
_TEMPLATE, _WINDOW = 7, 21
"""Sides of the patches that are compared and of the area searched for them, pixels."""
_LEAST = 0.3
"""8-bit levels: weaker filtering changes nothing."""
_MARGIN = 32
"""Pixels beyond the crop that the denoiser sees."""


def rehearse(
    noisy: torch.Tensor, box: tuple[int, int, int, int], seed: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rehearsed input and its truth, both (1, 3, h, w) in [0, 1], like the ``box`` of a noisy picture.

    Args:
        noisy: (1, 3, H, W) in [0, 1]; its noise is measured on all of it.
        box: (top, left, h, w), pixels.
        seed: of the noise, numbers of 0 or more.

    Raises:
        UserError: the picture is too small to measure its noise (:func:`tuner.noise_model.measure_noise`).
    """
    whole = to_array(noisy)
    noise = measure_noise(whole)
    top, left, height, width = box
    above, before = min(top, _MARGIN), min(left, _MARGIN)
    part = whole[top - above : top + height + _MARGIN, left - before : left + width + _MARGIN]
    clean = _stand_in(part, STRENGTH * noise.strength)[above : above + height, before : before + width]
    rehearsed = noise.add_to(clean, np.random.default_rng(seed))
    return to_tensor(rehearsed), to_tensor(np.ascontiguousarray(clean))


def _stand_in(picture: np.ndarray, deviation: float) -> np.ndarray:
    """The picture cleaned by non-local means (Buades et al., 2005) on lightness and colour."""
    levels = np.clip(picture * 255.0 + 0.5, 0, 255).astype(np.uint8)
    strength = max(_LEAST, 255.0 * deviation)
    clean = cv2.fastNlMeansDenoisingColored(levels, None, strength, _COLOR_STRENGTH * strength, _TEMPLATE, _WINDOW)
    return clean.astype(np.float32) / np.float32(255)
