"""Tuning without a ground truth by rehearsal: the picture's own noise on a stand-in that is known.

Of a noisy picture two things can be had without a truth: its noise (:mod:`tuner.noise_model`), and a nearly clean
picture of the same scene, namely itself at half the size, where averaging has removed most of the noise and a denoiser
what is left. That stand-in, with the noise of the full-size picture on it, is a picture like the noisy one, whose truth
is known to the last pixel. Parameters that serve it best serve the noisy one well: they are found by comparing with the
truth, by any strategy. This is the parametric bootstrap (Efron, 1979), of a scene whose detail is alike at neighbouring
scales (as Glasner et al., *Super-resolution from a single image*, 2009, and many after them assume).

At full size the stand-in would lack the finest texture, and denoisers that remove it would get away with that.
docs/rehearsal.md says how near it comes, measured with hidden truths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as nnf

from pipelines.denoise.nlm_opencv import NonLocalMeansOpenCV
from pipelines.inputs import centre_box
from pixelperfect_models.images import to_array, to_tensor
from tuner import noise_model

REDUCTION = 2
"""By which the stand-in is smaller than the picture, each way."""

MIN_SIDE = REDUCTION * noise_model.MIN_SIDE
"""Pixels on each side that a picture needs: what noise is left at half the size is measured too."""

_TEXTURE = 0.4
"""Share of wavelet shrinkage in the stand-in, the rest is non-local means. The one leaves fine texture, and some noise;
the other takes both. What is noise in the stand-in counts as detail, and the search learns to keep it; texture that it
lacks is not missed. Between the two the errors are about equal (docs/experiments.md)."""

_COLOR_STRENGTH = 1.3
"""Of non-local means on the colour planes against the lightness: noise is coarser there, and the eye misses less."""
_TEMPLATE, _WINDOW = 7, 21
"""Sides of the patches that it compares and of the area that it searches for them, pixels."""
_LEAST = 0.3
"""8-bit levels: weaker filtering changes nothing."""
_MARGIN = 32
"""Pixels beyond the crop that the denoiser sees."""


def rehearse(noisy: torch.Tensor, crop: int | None, seed: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The rehearsed input and its truth, both (1, 3, h, w) in [0, 1], of half the noisy picture's size or its centre.

    Args:
        noisy: (1, 3, H, W) in [0, 1].
        crop: side of the centre that is kept, pixels; None keeps all.
        seed: of the noise, numbers of 0 or more.

    Raises:
        UserError: the picture is too small to measure its noise (:data:`MIN_SIDE`).
    """
    noise = noise_model.measure_noise(to_array(noisy))
    small = to_array(nnf.avg_pool2d(noisy, REDUCTION))
    left_over = noise_model.measure_noise(small)
    top, left, height, width = centre_box(small.shape[0], small.shape[1], crop)
    above, before = min(top, _MARGIN), min(left, _MARGIN)
    part = small[top - above : top + height + _MARGIN, left - before : left + width + _MARGIN]
    clean = _cleaned(part, left_over.strength)[above : above + height, before : before + width]
    rehearsed = noise.add_to(clean, np.random.default_rng(seed))
    return to_tensor(rehearsed), to_tensor(np.ascontiguousarray(clean))


def rehearsed_mask(mask: torch.Tensor, crop: int | None) -> torch.Tensor:
    """The part of a picture's mask (1, 1, H, W) that belongs to its rehearsal, of that one's size."""
    small = nnf.avg_pool2d(mask, REDUCTION)
    top, left, height, width = centre_box(small.shape[-2], small.shape[-1], crop)
    return small[..., top : top + height, left : left + width]


def _cleaned(picture: np.ndarray, deviation: float) -> np.ndarray:
    """The picture without most of its noise: non-local means (Buades et al., 2005) and a share of BayesShrink.

    BayesShrink: Chang et al., *Adaptive wavelet thresholding*, 2000; each scale's threshold falls with its detail.
    """
    # Here, since every recipe's loading imports this file, and these take most of a second.
    import pywt
    from skimage.restoration import denoise_wavelet

    strength = max(_LEAST, 255.0 * deviation)
    smooth = NonLocalMeansOpenCV().denoise_array(
        picture, h=strength, h_color=_COLOR_STRENGTH * strength, template_window=_TEMPLATE, search_window=_WINDOW
    )
    # Not `denoise.bayes_shrink`: it leaves the depth to scikit-image, which splits a small crop into one scale only.
    depth = min(4, pywt.dwt_max_level(min(picture.shape[:2]), pywt.Wavelet("sym4").dec_len))
    textured = denoise_wavelet(
        picture,
        sigma=max(deviation, _LEAST / 255.0),
        wavelet="sym4",
        mode="soft",
        wavelet_levels=depth,
        method="BayesShrink",
        channel_axis=-1,
    )
    mixed = (1.0 - _TEXTURE) * smooth + _TEXTURE * textured
    return np.clip(mixed, 0.0, 1.0).astype(np.float32)
