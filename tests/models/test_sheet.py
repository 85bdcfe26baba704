"""The contact sheet shows each type where its caption says."""

from __future__ import annotations

import numpy as np
import pytest

from pixelperfect_models.distortions.render import render
from pixelperfect_models.distortions.sheet import contact_sheet
from pixelperfect_models.distortions.table import DISTORTIONS
from pixelperfect_models.errors import UserError


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Noise-like colours, 48 x 40."""
    return np.random.default_rng(0).random((48, 40, 3), dtype=np.float32)


def test_tiles_are_the_rendered_pictures(picture: np.ndarray) -> None:
    sheet = contact_sheet(picture, types=("exposure", "luma_noise"), intensities=(0.3, 1.0), tile=32, seed=4)
    assert sheet.dtype == np.float32 and sheet.min() >= 0 and sheet.max() <= 1
    height, width = 32 + 28 + 4, 32 + 4
    assert sheet.shape == (2 * height, 5 * width - 4, 3)
    crop = picture[8:40, 4:36]
    np.testing.assert_array_equal(sheet[28:60, 0:32], crop)
    expected = render(crop, "luma_noise", 1.0, np.random.default_rng(5))
    np.testing.assert_array_equal(sheet[height + 28 : height + 60, 2 * width : 2 * width + 32], expected)
    assert sheet[:28].max() > 0.5  # something is written above the row


def test_the_map_stands_beside_what_it_made(picture: np.ndarray) -> None:
    sheet = contact_sheet(picture, types=("exposure",), intensities=(0.9,), tile=32)
    varying, drawn = sheet[28:60, 72:104], sheet[28:60, 108:140]
    crop = picture[8:40, 4:36]
    zero = drawn[:, :, 0] == 0
    assert zero.any() and not zero.all()
    np.testing.assert_array_equal(varying[zero], crop[zero])
    assert np.abs(varying[~zero] - crop[~zero]).mean() > 0.01


def test_all_types_by_default_and_small_photos(picture: np.ndarray) -> None:
    sheet = contact_sheet(picture, intensities=(0.5,), tile=64)
    assert sheet.shape == (len(DISTORTIONS) * (48 + 32), 4 * 44 - 4, 3)


def test_refusals(picture: np.ndarray) -> None:
    with pytest.raises(UserError, match="did you mean 'banding'"):
        contact_sheet(picture, types=("bandings",))
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet(picture, types=())
