"""Distortions by other implementations than the engine's, to see whether the judge learnt artefacts or an engine.

Nothing here calls :mod:`pixelperfect_models.distortions`. Where the engine uses the same library (Pillow's codecs,
OpenCV's filters), the entry differs in settings and says so: ``kinship``.

The right answers of an entry are the channels whose meaning (:mod:`pixelperfect_models.channels`, and "Types overlap"
in docs/reading_a_map.md) describes what it does; the first is the *primary* one, by which the channel's meaning names
the cause. They were decided from those texts before any judge was asked:

- block transform coders: blocking, and what all coders do: ringing, detail_loss; wavelet coders have no blocks;
  coders with strong in-loop filters and wavelets soften edges too: blur;
- noise that differs between R, G and B varies lightness and colour: both noise channels;
- smoothing that keeps edges is detail_loss alone, a median also rounds edges off: blur; a kernel is blur alone;
- a wrong gamma is named by contrast and makes the picture brighter or darker: exposure;
- sampling without a filter is aliasing; with linear interpolation afterwards also blur.

Five levels go from just visible to severe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.evaluation import foreign_coding as coding
from pixelperfect_models.evaluation import foreign_colour as colour
from pixelperfect_models.evaluation import foreign_filters as filters

LEVELS = (1, 2, 3, 4, 5)
"""The severity levels of every entry."""


@dataclass(frozen=True)
class Foreign:
    """One foreign distortion.

    Attributes:
        name: the function's name.
        function: ``(image, strength, rng) -> image``; (H, W, 3) float32 in [0, 1] in.
        strengths: the strength of each of :data:`LEVELS`, in the function's own unit.
        right: the channels that are right answers, the primary one first.
        library: where the implementation comes from.
        kinship: what it shares with the engine's implementation, "" where nothing.
    """

    name: str
    function: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    strengths: tuple[float, ...]
    right: tuple[str, ...]
    library: str
    kinship: str

    @property
    def doc(self) -> str:
        """What it does, in one line."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    def __call__(self, image: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
        """Distort a picture.

        Args:
            image: (H, W, 3) float32 in [0, 1].
            level: 1 (just visible) to 5 (severe).
            rng: the noise, direction and places; the same state at a higher level gives the same ones, stronger.

        Returns:
            A new (H, W, 3) float32 array in [0, 1].

        Raises:
            UserError: a level that is none of :data:`LEVELS`.
        """
        if level not in LEVELS:
            raise UserError(f"level {level} of {self.name}: expected one of {', '.join(map(str, LEVELS))}")
        result = self.function(image, self.strengths[level - 1], rng)
        return np.ascontiguousarray(np.clip(result, 0.0, 1.0), dtype=np.float32)


def _entry(
    function: Callable[..., np.ndarray], strengths: tuple[float, ...], right: str, library: str, kinship: str = ""
) -> Foreign:
    names = tuple(right.split())
    unknown = [name for name in names if name not in CHANNELS]
    if unknown or len(strengths) != len(LEVELS):
        raise ValueError(f"{function.__name__}: unknown channels {unknown} or {len(strengths)} strengths")
    return Foreign(function.__name__, function, strengths, names, library, kinship)


_CODEC = "same library, other settings"
_BUILD = "same codec library in another build, other settings"
_FILTER = "same function, used there inside another algorithm"
_WIDENED = "another implementation, but the engine got a variant like it after this set had shown the gap"
_CODED = "blocking ringing detail_loss"
_FILTERED = "detail_loss blocking ringing blur"

_ALL = (
    _entry(coding.pillow_jpeg, (50, 30, 18, 11, 6), _CODED, "Pillow", _CODEC),
    _entry(coding.opencv_jpeg, (45, 27, 16, 10, 5), _CODED, "OpenCV", _BUILD),
    _entry(coding.scipy_block_dct, (16, 28, 45, 70, 110), _CODED, "SciPy", _WIDENED),
    _entry(coding.pillow_webp, (45, 25, 12, 4, 0), _FILTERED, "Pillow", _CODEC),
    _entry(coding.pillow_avif, (45, 33, 23, 14, 6), _FILTERED, "Pillow", _CODEC),
    _entry(coding.pillow_jpeg2000, (24, 40, 65, 105, 170), "ringing detail_loss blur", "Pillow", _CODEC),
    _entry(coding.pywavelets_coding, (24, 40, 65, 105, 170), "ringing detail_loss blur", "PyWavelets"),
    _entry(filters.skimage_grey_noise, (0.02, 0.035, 0.06, 0.1, 0.17), "luma_noise", "scikit-image"),
    _entry(filters.skimage_rgb_noise, (0.02, 0.035, 0.06, 0.1, 0.17), "luma_noise chroma_noise", "scikit-image",
           _WIDENED),
    _entry(filters.skimage_speckle, (0.05, 0.09, 0.15, 0.25, 0.4), "luma_noise chroma_noise", "scikit-image"),
    _entry(filters.skimage_salt_pepper, (0.002, 0.006, 0.015, 0.04, 0.1), "luma_noise chroma_noise", "scikit-image"),
    _entry(filters.numpy_photon_noise, (0.002, 0.006, 0.015, 0.04, 0.1), "luma_noise chroma_noise", "NumPy"),
    _entry(filters.skimage_lab_noise, (4, 7, 12, 19, 30), "chroma_noise", "scikit-image"),
    _entry(filters.opencv_gaussian, (0.7, 1.1, 1.7, 2.6, 4.0), "blur", "OpenCV", "same function, named by the issue"),
    _entry(filters.pillow_gaussian, (0.7, 1.1, 1.7, 2.6, 4.0), "blur", "Pillow"),
    _entry(filters.opencv_box, (3, 5, 7, 9, 13), "blur", "OpenCV", _FILTER),
    _entry(filters.opencv_motion, (3, 5, 8, 13, 20), "blur", "OpenCV", "same convolution, other kernel"),
    _entry(filters.pillow_rescale, (1.7, 2.3, 3.2, 4.5, 6.5), "blur", "Pillow", _WIDENED),
    _entry(filters.scipy_zoom, (1.5, 2.0, 2.8, 4.0, 5.5), "aliasing blur", "SciPy"),
    _entry(filters.pillow_nearest, (1.3, 1.7, 2.3, 3.2, 4.5), "aliasing", "Pillow", _WIDENED),
    _entry(filters.opencv_demosaicing, (0.5, 0.9, 1.4, 2.2, 3.5), "aliasing", "OpenCV"),
    _entry(filters.opencv_median, (3, 5, 7, 9, 13), "detail_loss blur", "OpenCV"),
    _entry(filters.opencv_bilateral, (0.06, 0.1, 0.17, 0.28, 0.45), "detail_loss", "OpenCV", _FILTER),
    _entry(filters.opencv_non_local_means, (5, 8, 12, 18, 27), "detail_loss", "OpenCV", _FILTER),
    _entry(filters.skimage_total_variation, (0.05, 0.09, 0.15, 0.25, 0.45), "detail_loss", "scikit-image", _WIDENED),
    _entry(coding.pillow_levels, (24, 16, 11, 7, 4), "banding", "Pillow", _WIDENED),
    _entry(coding.pillow_palette, (64, 32, 16, 9, 5), "banding", "Pillow", _WIDENED),
    _entry(filters.pillow_unsharp, (60, 110, 180, 300, 480), "oversharpening", "Pillow"),
    _entry(filters.pillow_sharpness, (2, 3.2, 5, 8, 13), "oversharpening", "Pillow"),
    _entry(colour.pillow_brightness, (0.08, 0.15, 0.27, 0.45, 0.75), "exposure", "Pillow"),
    _entry(colour.skimage_gamma, (0.1, 0.18, 0.3, 0.5, 0.8), "contrast exposure", "scikit-image"),
    _entry(colour.pillow_contrast, (0.1, 0.2, 0.35, 0.6, 1.0), "contrast", "Pillow"),
    _entry(colour.skimage_washed_out, (0.04, 0.08, 0.14, 0.22, 0.34), "contrast", "scikit-image"),
    _entry(colour.pillow_colour, (0.15, 0.3, 0.5, 0.85, 1.4), "saturation", "Pillow"),
    _entry(colour.skimage_hsv_saturation, (0.15, 0.3, 0.5, 0.85, 1.4), "saturation", "scikit-image"),
    _entry(colour.skimage_temperature, (0.07, 0.13, 0.22, 0.37, 0.6), "color_shift", "scikit-image"),
    _entry(colour.skimage_lab_cast, (3, 5, 9, 15, 25), "color_shift", "scikit-image", _WIDENED),
    _entry(colour.scipy_channel_shift, (0.6, 1.0, 1.8, 3.0, 5.0), "chromatic_aberration", "SciPy"),
    _entry(colour.skimage_lateral_colour, (1.5, 2.5, 4.0, 6.5, 10.0), "chromatic_aberration", "scikit-image"),
    _entry(colour.numpy_ghost, (1.5, 3, 5, 9, 15), "ghosting", "NumPy", _WIDENED),
    _entry(colour.skimage_rotation_ghost, (0.3, 0.6, 1.1, 2.0, 3.5), "ghosting", "scikit-image", _WIDENED),
    _entry(colour.scipy_warp, (1.0, 2.0, 3.5, 6.0, 10.0), "ghosting", "SciPy", _WIDENED),
    _entry(coding.numpy_block_dropout, (0.02, 0.05, 0.1, 0.18, 0.3), "blocking", "NumPy"),
)  # fmt: skip

FOREIGN: dict[str, Foreign] = {entry.name: entry for entry in _ALL}
"""Every foreign distortion by name."""


def find(name: str) -> Foreign:
    """The entry called ``name``. Raises UserError (with the nearest name) for an unknown one."""
    if name not in FOREIGN:
        raise UserError(f"{name}: no such foreign distortion{suggest(name, FOREIGN)}")
    return FOREIGN[name]
