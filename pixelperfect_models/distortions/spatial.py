"""Where a distortion acts and how strongly: random intensity maps.

Every map is (H, W) float32 in [0, 1], 0 = untouched, 1 = severe. Three kinds: uniform (what a global parameter
does), multi-octave Perlin noise (Perlin 1985; the paper's choice) and regions (blobs, rectangles, half planes,
tones or edges of the photo: what content-dependent algorithms do).
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Kind = Literal["uniform", "perlin", "region"]
KINDS: tuple[Kind, ...] = ("uniform", "perlin", "region")
KIND_SHARES: tuple[float, ...] = (0.35, 0.40, 0.25)
"""How often :func:`random_intensity_map` draws each of :data:`KINDS`."""

LOW_PEAK_SHARE = 0.6
"""Share of peaks drawn from 0.05 to 0.4, the intensities a tuner sees near its optimum."""

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # ITU-R BT.709


def draw_peak(rng: np.random.Generator, highest: float = 1.0) -> float:
    """Draw the peak intensity of a map, in [0.05, highest]: mostly low, up to ``highest``."""
    if rng.random() < LOW_PEAK_SHARE:
        return float(min(rng.uniform(0.05, 0.4), highest))
    return float(rng.uniform(min(0.4, highest), highest))


def _octave(height: int, width: int, cell_y: float, cell_x: float, rng: np.random.Generator) -> np.ndarray:
    # Gradient noise is bilinear in (row weights, lattice gradients, column weights), so one octave is two
    # products of small matrices instead of eight gathers per pixel.
    def axis(length: int, cell: float) -> tuple[np.ndarray, np.ndarray]:
        position = (np.arange(length) + 0.5) / cell + rng.random()
        lower = np.floor(position).astype(int)
        t = position - lower
        fade = t * t * t * (t * (t * 6.0 - 15.0) + 10.0)  # Perlin 2002, C2-continuous
        rows = np.arange(length)
        weight = np.zeros((length, int(lower[-1]) + 2), dtype=np.float32)
        weight[rows, lower] = 1.0 - fade
        weight[rows, lower + 1] = fade
        moment = np.zeros_like(weight)
        moment[rows, lower] = (1.0 - fade) * t
        moment[rows, lower + 1] = fade * (t - 1.0)
        return weight, moment

    weight_y, moment_y = axis(height, cell_y)
    weight_x, moment_x = axis(width, cell_x)
    angle = rng.uniform(0.0, 2.0 * np.pi, (weight_y.shape[1], weight_x.shape[1])).astype(np.float32)
    return weight_y @ np.cos(angle) @ moment_x.T + moment_y @ np.sin(angle) @ weight_x.T


def perlin(
    shape: tuple[int, int],
    rng: np.random.Generator,
    octaves: int = 3,
    cell: float | tuple[float, float] | None = None,
    persistence: float = 0.5,
) -> np.ndarray:
    """Multi-octave Perlin gradient noise, (H, W) float32, stretched so that it spans exactly [0, 1].

    Args:
        shape: (H, W), pixels.
        rng: source of the lattice gradients and offsets.
        octaves: number of octaves; each halves the cell (never below 4 px) and scales the amplitude.
        cell: cell size of the first octave in pixels, or (vertical, horizontal); None draws it
            log-uniformly between 1/8 and 1 of the shorter side.
        persistence: amplitude ratio from one octave to the next.

    Raises:
        ValueError: octaves below 1, cell not positive.
    """
    height, width = shape
    if octaves < 1:
        raise ValueError(f"octaves={octaves}: expected at least 1")
    if cell is None:
        cell = min(height, width) * float(2.0 ** rng.uniform(-3.0, 0.0))
    cell_y, cell_x = (cell, cell) if isinstance(cell, int | float) else cell
    if min(cell_y, cell_x) <= 0:
        raise ValueError(f"cell={cell}: expected more than 0 pixels")
    total = np.zeros((height, width), dtype=np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        total += amplitude * _octave(height, width, max(cell_y, 4.0), max(cell_x, 4.0), rng)
        amplitude *= persistence
        cell_y, cell_x = cell_y / 2.0, cell_x / 2.0
    return _stretch(total, float(total.min()), float(total.max()))


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    # Linear: low -> 0, high -> 1, clipped.
    return np.clip((values - low) / max(high - low, 1e-6), 0.0, 1.0).astype(np.float32)


def _between_quantiles(values: np.ndarray, low: float, high: float) -> np.ndarray:
    # A 2-pixel grid is enough to estimate quantiles and four times faster.
    lower, upper = np.quantile(values[::2, ::2], (low, high))
    return _stretch(values, float(lower), float(upper))


def _perlin_map(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    noise = perlin(shape, rng, octaves=int(rng.integers(1, 4)))
    # Stretching between random quantiles leaves real zeros and a real plateau at the peak.
    return _between_quantiles(noise, float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.75, 0.98)))


def _blob(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    noise = perlin(shape, rng, octaves=2, cell=min(shape) * float(rng.uniform(0.3, 1.0)))
    return (noise > np.quantile(noise[::2, ::2], rng.uniform(0.35, 0.85))).astype(np.float32)


def _rectangles(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.float32)
    for _ in range(int(rng.integers(1, 4))):
        top, height = (int(rng.uniform(*span) * shape[0]) for span in ((0.0, 0.75), (0.2, 0.6)))
        left, width = (int(rng.uniform(*span) * shape[1]) for span in ((0.0, 0.75), (0.2, 0.6)))
        mask[top : top + max(height, 4), left : left + max(width, 4)] = 1.0
    return mask


def _half_plane(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0.0, 2.0 * np.pi)
    y = (np.arange(shape[0]) / shape[0] - rng.uniform(0.3, 0.7))[:, None]
    x = (np.arange(shape[1]) / shape[1] - rng.uniform(0.3, 0.7))[None, :]
    return (y * np.sin(angle) + x * np.cos(angle) > 0).astype(np.float32)


def _tones(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # Shadows or highlights of the photo, smoothed a little so that the mask is not salt and pepper.
    luma = cv2.GaussianBlur(photo @ _LUMA, (0, 0), 2.0)
    if rng.random() < 0.6:
        luma = 1.0 - luma
    middle = float(rng.uniform(0.35, 0.7))
    return _between_quantiles(luma, middle, middle + 0.1)


def _edges(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # Neighbourhoods of edges, or (as often) everything but them.
    luma = photo @ _LUMA
    gradient = np.abs(cv2.Sobel(luma, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    energy = cv2.GaussianBlur(gradient, (0, 0), float(rng.uniform(2.0, 5.0)))
    mask = _between_quantiles(energy, 0.5, 0.75)
    return mask if rng.random() < 0.5 else 1.0 - mask


def _region_map(shape: tuple[int, int], rng: np.random.Generator, photo: np.ndarray | None) -> np.ndarray:
    makers = (_blob, _rectangles, _half_plane)
    choice = int(rng.integers(5 if photo is not None else 3))
    if choice < 3:
        mask = makers[choice](shape, rng)
    else:
        assert photo is not None
        mask = (_tones, _edges)[choice - 3](photo, rng)
    if rng.random() < 0.5:  # soft border
        mask = cv2.GaussianBlur(mask, (0, 0), max(1.0, min(shape) * float(rng.uniform(0.01, 0.08))))
        mask = np.where(mask < 0.02, 0.0, mask)
    highest = float(mask.max())
    # A rare empty mask (a half plane whose border misses the picture) becomes the whole picture.
    return (mask / highest).astype(np.float32) if highest > 0 else np.ones(shape, dtype=np.float32)


def intensity_map(
    shape: tuple[int, int],
    rng: np.random.Generator,
    kind: Kind,
    peak: float | None = None,
    photo: np.ndarray | None = None,
) -> np.ndarray:
    """Draw an intensity map, (H, W) float32 in [0, 1], whose highest value is ``peak``.

    Args:
        shape: (H, W), pixels.
        rng: source of all randomness.
        kind: "uniform", "perlin" or "region".
        peak: highest intensity in [0, 1]; None draws it by :func:`draw_peak`.
        photo: (H, W, 3) in [0, 1]; given, regions may also follow its tones and edges.

    Raises:
        ValueError: unknown kind.
    """
    peak = draw_peak(rng) if peak is None else peak
    if kind == "uniform":
        return np.full(shape, peak, dtype=np.float32)
    if kind == "perlin":
        return _perlin_map(shape, rng) * np.float32(peak)
    if kind == "region":
        return _region_map(shape, rng, photo) * np.float32(peak)
    raise ValueError(f"kind={kind!r}: expected one of {', '.join(KINDS)}")


def random_intensity_map(
    shape: tuple[int, int],
    rng: np.random.Generator,
    peak: float | None = None,
    photo: np.ndarray | None = None,
) -> np.ndarray:
    """Like :func:`intensity_map` with the kind drawn by :data:`KIND_SHARES`."""
    kind = KINDS[int(rng.choice(len(KINDS), p=KIND_SHARES))]
    return intensity_map(shape, rng, kind, peak, photo)
