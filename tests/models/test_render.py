"""Rendering under an intensity map: place, range and the neutral ends."""

from __future__ import annotations

import numpy as np
import pytest

from pixelperfect_models.distortions import severity
from pixelperfect_models.distortions.render import render
from pixelperfect_models.distortions.table import DISTORTIONS
from pixelperfect_models.errors import UserError

NAMES = sorted(DISTORTIONS)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth tones, edges, texture and colour, odd sides."""
    y, x = np.mgrid[0:67, 0:81].astype(np.float32)
    base = np.stack([0.3 + x / 200, 0.6 - y / 200, 0.4 + 0.2 * np.sin(x / 9)], axis=-1)
    base[(x // 12 + y // 15) % 2 == 0] *= 0.6
    grain = np.random.default_rng(0).normal(0, 0.04, base.shape)
    return np.clip(base + grain, 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_zero_is_untouched_and_the_rest_is_not(name: str, picture: np.ndarray) -> None:
    intensity = np.zeros(picture.shape[:2], dtype=np.float32)
    intensity[:, 40:] = np.linspace(0.2, 0.9, 41)
    change = 0.0
    for seed in range(5):  # one draw may change nothing: few blocks of a small picture are lost
        result = render(picture, name, intensity, np.random.default_rng(seed))
        assert result.shape == picture.shape and result.dtype == np.float32
        assert result.min() >= 0.0 and result.max() <= 1.0
        np.testing.assert_array_equal(result[:, :40], picture[:, :40])
        change += float(np.abs(result[:, 40:] - picture[:, 40:]).mean())
    assert change > 5e-3


@pytest.mark.parametrize("name", NAMES)
def test_zero_everywhere_and_seeds(name: str, picture: np.ndarray) -> None:
    np.testing.assert_array_equal(render(picture, name, 0.0, np.random.default_rng(0)), picture)
    first, second = (render(picture, name, 0.5, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    flat = np.full(picture.shape[:2], 0.5, dtype=np.float32)
    np.testing.assert_array_equal(render(picture, name, flat, np.random.default_rng(7)), first)


@pytest.mark.parametrize("name", [name for name in NAMES if DISTORTIONS[name].local and name != "block_loss"])
def test_local_types_act_pixel_by_pixel(name: str, picture: np.ndarray) -> None:
    # Half and half equals the two uniform renderings put side by side: no blending, no spill.
    intensity = np.full(picture.shape[:2], 0.2, dtype=np.float32)
    intensity[:30] = 0.7
    mixed = render(picture, name, intensity, np.random.default_rng(5))
    for level, rows in ((0.7, slice(0, 30)), (0.2, slice(30, None))):
        whole = render(picture, name, level, np.random.default_rng(5))
        np.testing.assert_allclose(mixed[rows], whole[rows], atol=2e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if not DISTORTIONS[name].local])
def test_blended_types_equal_the_uniform_rendering_at_the_peak(name: str, picture: np.ndarray) -> None:
    intensity = np.full(picture.shape[:2], 0.1, dtype=np.float32)
    intensity[20:50, 20:50] = 0.8
    mixed = render(picture, name, intensity, np.random.default_rng(5))
    whole = render(picture, name, 0.8, np.random.default_rng(5))
    np.testing.assert_allclose(mixed[20:50, 20:50], whole[20:50, 20:50], atol=1e-5)


def test_the_generator_advances_alike_whatever_is_rendered(picture: np.ndarray) -> None:
    after = set()
    for name, intensity in (("jpeg", 0.0), ("jpeg", 0.4), ("luma_noise", 0.9)):
        rng = np.random.default_rng(11)
        render(picture, name, intensity, rng)
        after.add(int(rng.integers(2**62)))
    assert len(after) == 1


def test_above_the_cap_is_the_cap(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    short = severity.Curve(np.array([0.0, 0.5, 1.0]), np.array([0.0, 2.0, 2.0]), cap=0.5)
    monkeypatch.setattr(severity, "curve", lambda name: short)
    first, second = (render(picture, "gaussian_blur", v, np.random.default_rng(0)) for v in (0.5, 0.9))
    np.testing.assert_array_equal(first, second)


def test_refusals(picture: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="gaussian_blur"):
        render(picture, "gausian_blur", 0.5, rng)
    with pytest.raises(ValueError, match="expected 0 to 2"):
        render(picture, "jpeg", 2.5, rng)
    with pytest.raises(ValueError, match="expected 0 to 2"):
        render(picture, "jpeg", float("nan"), rng)
    with pytest.raises(ValueError, match="map"):
        render(picture, "jpeg", np.zeros((3, 4)), rng)
