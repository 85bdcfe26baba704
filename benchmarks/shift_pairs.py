"""Real and synthetic pairs of the same contents, matched in error, for the domain-shift figures of maps_trust.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pixelperfect_models.evaluation.datasets import read_dataset
from pixelperfect_models.evaluation.domain_shift import Pair, match_engine
from pixelperfect_models.evaluation.foreign import FOREIGN
from pixelperfect_models.evaluation.map_reality import middle, real_noise_pairs
from pixelperfect_models.evaluation.map_trust import random_crop, read_photos
from pixelperfect_models.images import read_array

SIDE = 256

CODECS = {"pillow_jpeg": "jpeg", "pillow_webp": "webp_avif", "pillow_jpeg2000": "jpeg2000"}
"""Foreign codec -> the engine's type."""

TID2013_LIKE = {
    "additive_gaussian_noise": "luma_noise",
    "color_noise": "chroma_noise",
    "spatially_correlated_noise": "correlated_noise",
    "impulse_noise": "impulse_noise",
    "quantization_noise": "banding",
    "gaussian_blur": "gaussian_blur",
    "image_denoising": "denoiser_smoothing",
    "jpeg": "jpeg",
    "jpeg2000": "jpeg2000",
    "chromatic_aberrations": "chromatic_aberration",
}
"""TID2013's type -> the engine's type of the like kind."""


def domains(data: Path, count: int, seed: int = 0) -> Iterator[tuple[str, str, list[Pair], list[Pair]]]:
    """(real, synthetic, real pairs, synthetic pairs), ``count`` pairs each (TID2013: all there are)."""
    noise = real_noise_pairs(data / "real_noise/polyu", SIDE, count)
    for name in ("sensor_noise", "correlated_noise", "luma_noise"):
        yield "PolyU camera noise", f"engine {name}", noise, _matched(noise, name, seed)
    photos = read_photos([data / "photos/test/cid22", data / "photos/test/kodak"], SIDE)[:count]
    for name, engine in CODECS.items():
        rng = np.random.default_rng([seed, 1])
        crops = [random_crop(photo, SIDE, rng) for photo in photos]
        coded = [(FOREIGN[name](crop, int(rng.integers(1, 6)), rng), crop) for crop in crops]
        yield name, f"engine {engine}", coded, _matched(coded, engine, seed)
    rows = read_dataset(data / "ratings/tid2013")[1]
    for name, engine in TID2013_LIKE.items():
        tiles = [pair for row in rows if row.type == name for pair in _tiles(row.distorted, row.reference)]
        yield f"TID2013 {name}", f"engine {engine}", tiles, _matched(tiles, engine, seed)


def _matched(real: list[Pair], name: str, seed: int) -> list[Pair]:
    rng = np.random.default_rng([seed, 2])
    return [match_engine(pair, name, rng) for pair in real]


def _tiles(distorted: Path, reference: Path) -> list[Pair]:
    # The left and the right square of a 512 x 384 picture.
    test, ref = read_array(distorted), read_array(reference)
    half = test.shape[1] // 2
    return [(middle(test[:, part], SIDE), middle(ref[:, part], SIDE)) for part in (slice(0, half), slice(half, None))]
