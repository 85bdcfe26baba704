"""The one table of distortion types: add a type here and the engine, the sheet and the tests know it.

Each type names the function that makes it, the map channels it writes into, and the range of its strength
(in the type's own unit) between just visible and severe. How intensity in [0, 1] becomes strength is calibrated
(see :mod:`.severity`); the range only bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import blur, color, compression, geometry, noise, sampling, sensor, sharpening, smoothing, tone, transmission
from .common import Image


@dataclass(frozen=True)
class Distortion:
    """One type.

    Attributes:
        name: the type's name, also its function's.
        function: ``(image, strength, rng) -> image``, see :mod:`.common`.
        channels: map channel -> share in [0, 1] of the type's intensity that the channel shows.
        strength_low: where the type begins to be visible; strength 0 is always the identity.
        strength_high: the strongest that is useful.
        unit: what the strength measures.
        log: whether equal steps are ratios (search and tabulate on a logarithmic scale).
        local: whether the strength may be an (H, W, 1) array that acts where it stands; other types are
            rendered at several strengths and blended.
    """

    name: str
    function: Callable[[Image, float, np.random.Generator], Image]
    channels: Mapping[str, float]
    strength_low: float
    strength_high: float
    unit: str
    log: bool
    local: bool

    @property
    def doc(self) -> str:
        """What the type imitates, in one line."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    @property
    def source(self) -> str:
        """Where the formula comes from (the part of the docstring after "Source:")."""
        return " ".join((self.function.__doc__ or "").partition("Source:")[2].split())


def _type(function: Callable[..., Image], channels: Mapping[str, float], low: float, high: float, unit: str, *,
          log: bool = True, local: bool = False) -> Distortion:  # fmt: skip
    name: str = function.__name__
    return Distortion(name, function, dict(channels), low, high, unit, log, local)


_ALL = (
    _type(blur.gaussian_blur, {"blur": 1.0}, 0.3, 8.0, "px, standard deviation"),
    _type(blur.defocus_blur, {"blur": 1.0}, 0.2, 12.0, "px, radius"),
    _type(blur.motion_blur, {"blur": 1.0}, 0.8, 40.0, "px, length"),
    _type(noise.luma_noise, {"luma_noise": 1.0}, 0.005, 0.35, "standard deviation", local=True),
    _type(noise.chroma_noise, {"chroma_noise": 1.0}, 0.005, 0.35, "standard deviation", local=True),
    _type(noise.correlated_noise, {"luma_noise": 1.0, "chroma_noise": 0.6}, 0.004, 0.3, "standard deviation",
          local=True),
    _type(sensor.sensor_noise, {"luma_noise": 1.0, "chroma_noise": 1.0}, 0.005, 0.5,
          "deviation of linear luma at white", local=True),
    _type(noise.impulse_noise, {"luma_noise": 1.0}, 0.0005, 0.3, "share of pixels", local=True),
    _type(compression.jpeg, {"blocking": 1.0}, 0.1, 16.0, "scale of the Annex K tables"),
    _type(compression.jpeg2000, {"ringing": 1.0}, 4.0, 250.0, "compression ratio"),
    _type(compression.webp_avif, {"detail_loss": 1.0}, 5.0, 100.0, "100 - quality", log=False),
    _type(tone.banding, {"banding": 1.0}, 0.015, 0.45, "step"),
    _type(sharpening.oversharpening, {"oversharpening": 1.0}, 0.1, 8.0, "amount", local=True),
    _type(smoothing.denoiser_smoothing, {"detail_loss": 1.0}, 0.005, 0.5, "assumed noise deviation"),
    _type(sampling.downsampling, {"aliasing": 1.0}, 0.1, 5.0, "scale factor - 1"),
    _type(sampling.upscaling, {"blur": 1.0}, 0.1, 9.0, "scale factor - 1"),
    _type(sampling.demosaicing, {"aliasing": 1.0}, 0.15, 5.0, "share of the demosaicing error", local=True),
    _type(geometry.chromatic_aberration, {"chromatic_aberration": 1.0}, 0.2, 16.0, "px"),
    _type(tone.exposure, {"exposure": 1.0}, 0.08, 3.5, "stops", local=True),
    _type(tone.contrast, {"contrast": 1.0}, 0.05, 1.8, "log of the slope", local=True),
    _type(color.saturation, {"saturation": 1.0}, 0.08, 2.5, "log of the factor", local=True),
    _type(color.color_cast, {"color_shift": 1.0}, 0.02, 0.7, "log of the gain", local=True),
    _type(geometry.misregistration, {"ghosting": 1.0}, 0.4, 24.0, "px"),
    _type(transmission.block_loss, {"blocking": 1.0}, 0.003, 0.5, "share of blocks", local=True),
)  # fmt: skip

DISTORTIONS: dict[str, Distortion] = {entry.name: entry for entry in _ALL}
"""Every distortion type by name."""
