"""The foreign distortions: each grows with its level, keeps shape and range, and is not the engine's function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.foreign import FOREIGN, LEVELS, find
from pixelperfect_models.images import read_array


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    # Large enough that a small share of lost blocks is more than one, and that codecs' headers do not rule.
    path = Path(__file__).parents[2] / "recipes" / "photos" / "clean" / "dog.png"
    return np.ascontiguousarray(read_array(path)[20:148, 20:180])


@pytest.mark.parametrize("name", FOREIGN)
def test_grows_with_the_level_within_range(name: str, picture: np.ndarray) -> None:
    before = picture.copy()
    errors = []
    for level in LEVELS:
        found = FOREIGN[name](picture, level, np.random.default_rng(3))
        assert found.shape == picture.shape and found.dtype == np.float32
        assert found.min() >= 0.0 and found.max() <= 1.0 and np.isfinite(found).all()
        errors.append(float(np.mean((found - picture) ** 2)))
    assert np.array_equal(picture, before), "the photo itself was changed"
    assert errors[0] > 0 and all(np.diff(errors) > 0), errors


@pytest.mark.parametrize("name", FOREIGN)
def test_same_state_same_picture(name: str, picture: np.ndarray) -> None:
    one, two = (FOREIGN[name](picture, 3, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)


def test_entries_are_documented_and_not_the_engines() -> None:
    for entry in FOREIGN.values():
        assert entry.doc and entry.library and set(entry.right) <= set(CHANNELS)
        assert len(set(entry.right)) == len(entry.right) >= 1
        assert "distortions" not in entry.function.__module__
    assert {entry.right[0] for entry in FOREIGN.values()} == set(CHANNELS)  # every channel is asked for


def test_unknown_names_and_levels(picture: np.ndarray) -> None:
    with pytest.raises(UserError, match="did you mean 'pillow_jpeg'"):
        find("pilow_jpeg")
    with pytest.raises(UserError, match="level 6 of pillow_jpeg"):
        FOREIGN["pillow_jpeg"](picture, 6, np.random.default_rng(0))
