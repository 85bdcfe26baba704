"""Distortions without a map channel, which the scoring network learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelperfect_models.distortions.rare import RARE
from pixelperfect_models.images import read_array

CLEAN = Path(__file__).parents[2] / "recipes" / "photos" / "clean"


def photo() -> np.ndarray:
    path = sorted(CLEAN.iterdir())[0]
    return np.ascontiguousarray(read_array(path)[:96, :120], dtype=np.float32)


@pytest.mark.parametrize("name", RARE)
def test_the_same_seed_at_a_larger_amount_is_the_same_picture_only_worse(name: str) -> None:
    image = photo()
    errors = []
    for amount in (0.0, 0.5, 1.0):
        worse = RARE[name](image, amount, np.random.default_rng(3))
        assert worse.shape == image.shape and worse.dtype == np.float32
        assert worse.min() >= 0 and worse.max() <= 1
        assert np.array_equal(worse, RARE[name](image, amount, np.random.default_rng(3)))
        errors.append(float(np.square(worse - image).mean()))
    assert 0 <= errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("name", RARE)
@pytest.mark.parametrize("size", [(16, 16), (17, 64)])
def test_small_and_odd_sizes(name: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    assert RARE[name](image, 0.7, np.random.default_rng(1)).shape == image.shape
