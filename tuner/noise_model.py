"""The noise of a picture, measured on the picture itself and made again: its strength by brightness, grain and colour.

What a camera's pipeline leaves of a sensor's noise is neither white nor alike in the three colours: demosaicing and
compression spread and mix it. So it is not described by a formula here, but by its covariance between neighbours and
colours, and by its deviation at several brightnesses, both taken from the flattest blocks of the picture. The usual
estimators of a single deviation (Immerkaer 1996, scikit-image's ``estimate_sigma``) assume white noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pixelperfect_models.errors import UserError

Floats = NDArray[np.float64]

MIN_SIDE = 64
"""Pixels on each side that a picture needs, for blocks enough to choose from."""

_BLOCK = 24
"""Side of the blocks, pixels: the smaller, the more places are flat; but neighbours are more than a few pixels apart in
large ones only, and of noise that compression has removed from the flattest places more is left in them."""
_STEP, _BLOCKS = 4, 12_000
"""Pixels from one block to the next, more in pictures that have more than so many blocks."""
_LEVELS = 5
"""Brightnesses at which the deviation is measured, each of as many blocks."""
_FLATTEST = 0.25
"""Share of the blocks of one brightness that may be flat: by what is left after noise is blurred away. By their own
variance, those would be chosen from which compression has removed the noise."""
_BLUR = 2.5
"""Of the picture that flatness is judged by, pixels."""
_SPREAD = 2.0
"""Times the median variance of those, above which they are not: fine texture survives no blur."""
_MOST = 6.0
"""Times the median of that over the brightnesses, above which no block is flat: some brightnesses are found in texture
and at edges only. They have the noise of the next ones then."""
_REACH, _SURE = 8, 4
"""Pixels at which two noise values are taken for independent, and below which their covariance is taken as it is."""
_CLIPPED = 0.01
"""Share of black or white pixels above which a block says nothing about noise."""
_LUMA_BLUR = 1.5
"""Of the picture whose brightness says how strong its noise is, pixels."""


@dataclass(frozen=True)
class NoiseModel:
    """Zero-mean noise.

    Attributes:
        brightness: (L,), rising, in [0, 1]: where the deviation was measured, at 1 to 5 places.
        deviation: (L, 3), of each colour, in units of white.
        covariance: (2 r + 1, 2 r + 1, 3, 3), of noise of deviation 1: element [r + i, r + j, c, d] is that of colour c
            at (y + i, x + j) with colour d at (y, x).
    """

    brightness: Floats
    deviation: Floats
    covariance: Floats

    @property
    def strength(self) -> float:
        """Root of the mean variance over brightnesses and colours, in units of white."""
        return float(np.sqrt(np.square(self.deviation).mean()))

    def add_to(self, picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """A picture (H, W, 3) in [0, 1] with such noise on it, clipped to [0, 1]."""
        height, width = picture.shape[:2]
        luma = cv2.GaussianBlur(picture, (0, 0), _LUMA_BLUR).mean(2)
        deviation = np.stack([np.interp(luma, self.brightness, column) for column in self.deviation.T], axis=-1)
        noise = self._sample(height, width, rng) * deviation
        return np.clip(picture + noise, 0.0, 1.0).astype(np.float32)

    def _sample(self, height: int, width: int, rng: np.random.Generator) -> Floats:
        """(H, W, 3) of deviation 1: white noise through the root of the spectrum, frequency by frequency."""
        reach = self.covariance.shape[0] // 2
        placed = np.zeros((height, width, 3, 3))
        shifts = np.arange(-reach, reach + 1)
        # Where the picture is smaller than the covariance reaches, what falls on one place adds up (aliasing).
        np.add.at(placed, (shifts[:, None] % height, shifts[None, :] % width), self.covariance)
        spectrum = np.fft.fft2(placed, axes=(0, 1))
        values, vectors = np.linalg.eigh(0.5 * (spectrum + np.conj(np.swapaxes(spectrum, -1, -2))))
        root = vectors * np.sqrt(np.clip(values, 0.0, None))[..., None, :]
        white = np.fft.fft2(rng.standard_normal((height, width, 3)), axes=(0, 1))
        noise = np.fft.ifft2((root @ white[..., None])[..., 0], axes=(0, 1)).real
        # Negative parts of the spectrum, which no noise has, were cut.
        return np.asarray(noise / np.maximum(noise.std((0, 1)), 1e-12))


def measure_noise(picture: NDArray[np.float32]) -> NoiseModel:
    """The noise of a picture (H, W, 3) in [0, 1].

    Fine even texture is taken for noise, and noise that compression removed from flat places is missing: the estimate
    is of what is seen there. A picture without noise gives deviations near 0.

    Raises:
        UserError: a side is below :data:`MIN_SIDE`.
    """
    if min(picture.shape[:2]) < MIN_SIDE:
        raise UserError(
            f"picture is {picture.shape[1]} x {picture.shape[0]} pixels, expected at least {MIN_SIDE} x {MIN_SIDE} to "
            "measure its noise"
        )
    flat = _flat_blocks(picture)
    return NoiseModel(
        np.array([level for level, _ in flat]),
        np.array([np.sqrt(_variance(rest).mean(0)) for _, rest in flat]),
        _covariance(np.concatenate([rest for _, rest in flat])),
    )


def _flat_blocks(picture: NDArray[np.float32]) -> list[tuple[float, Floats]]:
    """At each of up to five brightnesses, rising: that and the flat blocks there, less their shading (B, n, n, 3)."""
    blocks = _blocks(picture)
    rest = _without_shading(blocks)
    power, luma = _variance(rest).mean(1), blocks.mean((1, 2, 3))
    structure = _variance(_without_shading(_blocks(cv2.GaussianBlur(picture, (0, 0), _BLUR)))).mean(1)
    clipped = ((blocks <= 2 / 255) | (blocks >= 253 / 255)).mean((1, 2, 3))
    usable = np.flatnonzero(clipped < _CLIPPED)
    if len(usable) < _LEVELS:
        usable = np.arange(len(blocks))
    parts = [
        part[np.argsort(structure[part], kind="stable")][: max(1, round(_FLATTEST * len(part)))]
        for part in np.array_split(usable[np.argsort(luma[usable], kind="stable")], _LEVELS)
    ]
    typical = np.array([np.median(power[part]) for part in parts])
    most = _MOST * np.median(typical)
    flat = [
        part[power[part] <= min(most, _SPREAD * usual)]
        for part, usual in zip(parts, typical, strict=True)
        if usual <= most
    ]
    return [(float(luma[part].mean()), rest[part]) for part in flat]


def _blocks(picture: NDArray[np.float32]) -> Floats:
    """(B, n, n, 3), evenly over the picture."""
    step = max(_STEP, math.ceil(math.sqrt(picture.shape[0] * picture.shape[1] / _BLOCKS)))
    windows = sliding_window_view(picture, (_BLOCK, _BLOCK), axis=(0, 1))[::step, ::step]
    return np.moveaxis(windows, 2, -1).reshape(-1, _BLOCK, _BLOCK, 3).astype(np.float64)


def _plane() -> Floats:
    """An orthonormal basis of the planes over a block, (n * n, 3)."""
    y, x = np.mgrid[:_BLOCK, :_BLOCK] / (_BLOCK - 1) - 0.5
    return np.asarray(np.linalg.qr(np.stack([np.ones_like(x), x, y], axis=-1).reshape(-1, 3))[0])


_PLANE = _plane()


def _variance(rest: Floats) -> Floats:
    """Of blocks (B, n, n, 3) from which a plane was taken, (B, 3)."""
    return np.asarray(np.square(rest).sum((1, 2)) / (_BLOCK**2 - _PLANE.shape[1]))


def _without_shading(blocks: Floats) -> Floats:
    """Blocks (B, n, n, 3) less the plane that fits each colour best. Steeper surfaces would take coarse noise along."""
    flat = blocks.reshape(len(blocks), -1, 3)
    return np.asarray(flat - _PLANE @ (_PLANE.T @ flat)).reshape(blocks.shape)


def _covariance(rest: Floats) -> Floats:
    """Of blocks (B, n, n, 3), each brought to deviation 1 (Wiener-Khinchin theorem); it fades out at the reach."""
    scaled = rest / np.maximum(rest.std((1, 2), keepdims=True), 1e-4)
    # Twice the size: opposite borders are no neighbours.
    spectrum = np.fft.fft2(scaled, s=(2 * _BLOCK, 2 * _BLOCK), axes=(1, 2))
    products = np.einsum("bijc,bijd->ijcd", spectrum, spectrum.conj()) / len(scaled)
    sums = np.fft.ifft2(products, axes=(0, 1)).real
    shifts = np.arange(-_REACH, _REACH + 1)
    pairs = _BLOCK - np.abs(shifts)  # of values that far apart in a block, along one side
    fade = np.cos(0.5 * np.pi * np.clip((np.abs(shifts) - _SURE) / (_REACH + 1 - _SURE), 0.0, 1.0)) ** 2
    scale = fade / pairs
    return np.asarray(sums[shifts[:, None], shifts[None, :]] * (scale[:, None] * scale[None, :])[..., None, None])
