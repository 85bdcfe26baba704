"""Denoisers that take the texture with the noise."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .common import Image, finish, luma, nothing_to_do

_SCALES = 3
_VARIATION_STEPS = 30


def denoiser_smoothing(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """A denoiser told to expect noise of deviation ``strength`` on a clean picture: texture goes, edges stay.

    Guided filter, bilateral filter, domain transform, non-local means or total variation, by chance, half of the time
    at three scales from coarse to fine, as camera pipelines do to reach blotches of several pixels, else at one or two.
    Imitates the watercolour look of strong noise reduction.
    Source: He et al. 2013 (guided), Tomasi and Manduchi 1998 (bilateral), Gastal and Oliveira 2011 (domain
    transform), Buades et al. 2005 (non-local means), Beck and Teboulle 2009 (total variation).
    """
    kind = rng.choice(tuple(_DENOISERS), p=(0.2, 0.35, 0.1, 0.15, 0.2))
    radius = int(rng.integers(2, 5))
    scales = int(rng.choice((1, 2, _SCALES), p=(0.3, 0.2, 0.5)))
    if nothing_to_do(strength):
        return image.copy()
    return finish(_coarse_to_fine(image, lambda picture: _DENOISERS[str(kind)](picture, radius, strength), scales))


def _coarse_to_fine(image: Image, denoise: Callable[[Image], Image], scales: int) -> Image:
    """Apply ``denoise`` to a pyramid of halved pictures, each after the correction found on the coarser one."""
    height, width = image.shape[:2]
    if scales > 1:
        coarse = cv2.resize(image, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
        correction = _coarse_to_fine(coarse, denoise, scales - 1) - coarse
        image = image + cv2.resize(correction, (width, height), interpolation=cv2.INTER_LINEAR)
    return denoise(image)


def _up_to(limit: float, strength: float) -> float:
    """``strength`` where it is small, never more than ``limit``.

    A filter told that everything is noise keeps no edges: it is a plain blur, which is another artefact.
    """
    return limit * float(np.tanh(strength / limit))


def guided_filter(image: Image, radius: int, strength: float) -> Image:
    """Each channel filtered with itself as guide: windows of deviation far below ``strength`` become their mean.

    Source: He, Sun and Tang 2013, equations 5, 6 and 8, with guide equal to input and epsilon = strength^2.
    """
    window = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(image, window)
    variance = np.maximum(cv2.blur(image * image, window) - mean * mean, 0.0)
    slope = variance / (variance + np.float32(strength**2))
    return cv2.blur(slope, window) * image + cv2.blur((1 - slope) * mean, window)


def _guided(image: Image, radius: int, strength: float) -> Image:
    return guided_filter(image, radius, _up_to(0.15, strength))


def _bilateral_filter(image: Image, radius: int, strength: float) -> Image:
    return cv2.bilateralFilter(image, 2 * radius + 1, 2.8 * _up_to(0.16, strength), 0.7 * radius)


def _domain_transform(image: Image, radius: int, strength: float) -> Image:
    """OpenCV's edge-preserving filter, which is 8-bit."""
    eight_bit = np.clip(image * 255.0 + 0.5, 0, 255).astype(np.uint8)
    smooth = cv2.edgePreservingFilter(eight_bit, flags=2, sigma_s=4.0 * radius, sigma_r=2.0 * _up_to(0.3, strength))
    blend = np.float32(min(1.0, 255.0 * strength))
    return image + blend * (smooth.astype(np.float32) / np.float32(255) - image)


def _non_local_means(image: Image, radius: int, strength: float) -> Image:
    """OpenCV's 8-bit non-local means on luma, a guided filter on colour, which the eye resolves less."""
    grey = luma(image)
    eight_bit = np.clip(grey * 255.0 + 0.5, 0, 255).astype(np.uint8)
    smooth = cv2.fastNlMeansDenoising(eight_bit, None, 0.6 * 255.0 * _up_to(0.25, strength), 3, 7)[..., None]
    # Blending in over the first grey level hides the rounding to 8 bits at vanishing strength.
    blend = np.float32(min(1.0, 255.0 * strength))
    smooth_grey = grey + blend * (smooth.astype(np.float32) / np.float32(255) - grey)
    return smooth_grey + _guided(image - grey, 3, strength)


def _total_variation(image: Image, radius: int, strength: float) -> Image:
    """Least total variation near the picture, by 30 fast gradient steps.

    Of the three channels together, which scikit-image's solvers do not offer: an edge in one is an edge in all.
    """
    # The power makes it as visible, by MDSI, as the others are at equal strength.
    weight = np.float32(1.35 * strength**1.25)
    dual = ahead = np.zeros((2, *image.shape), dtype=np.float32)
    momentum = 1.0
    for _ in range(_VARIATION_STEPS):
        step = _differences(image - weight * _adjoint(ahead))
        step *= np.float32(0.125) / weight
        step += ahead
        step /= np.maximum(np.sqrt(np.einsum("dhwc,dhwc->hw", step, step)), np.float32(1.0))[..., None]
        faster = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = step + np.float32((momentum - 1.0) / faster) * (step - dual)
        dual, momentum = step, faster
    return image - weight * _adjoint(dual)


def _differences(image: Image) -> Image:
    """To the next row and column, (2, H, W, 3); 0 at the last one."""
    found = np.zeros((2, *image.shape), dtype=np.float32)
    np.subtract(image[1:], image[:-1], out=found[0, :-1])
    np.subtract(image[:, 1:], image[:, :-1], out=found[1, :, :-1])
    return found


def _adjoint(field: Image) -> Image:
    """The adjoint of :func:`_differences`, minus the divergence: (2, H, W, 3) to (H, W, 3)."""
    found = np.zeros(field.shape[1:], dtype=np.float32)
    found[:-1] -= field[0, :-1]
    found[1:] += field[0, :-1]
    found[:, :-1] -= field[1, :, :-1]
    found[:, 1:] += field[1, :, :-1]
    return found


_DENOISERS: dict[str, Callable[[Image, int, float], Image]] = {
    "guided": _guided,
    "bilateral": _bilateral_filter,
    "domain transform": _domain_transform,
    "non-local": _non_local_means,
    "total variation": _total_variation,
}
