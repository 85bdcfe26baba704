"""Noise measured on the picture itself: strength, brightness, grain and colour against noise that is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from pixelperfect_models.errors import UserError
from tuner.noise_model import MIN_SIDE, NoiseModel, measure_noise

SIDE = 256


def clean_scene(side: int = SIDE, seed: int = 0) -> np.ndarray:
    """Shading, shapes with sharp edges, and fine texture in a tenth of it: (side, side, 3) in [0.1, 0.9]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    grey = 0.25 + 0.45 * x
    for _ in range(6):
        cy, cx, radius, step = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.2), rng.uniform(-0.15, 0.15)
        grey = np.where((y - cy) ** 2 + (x - cx) ** 2 < radius**2, grey + step, grey)
    texture = 0.1 * np.sin(2.1 * np.arange(side))[None, :] * np.sin(1.7 * np.arange(side))[:, None]
    grey = grey + np.where(y > 0.9, texture, 0.0)
    return np.clip(grey[..., None] * np.array([1.0, 0.95, 0.9]), 0.1, 0.9).astype(np.float32)


def coarse_noise(shape: tuple[int, int], deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of one pixel's blur, half of it common to the three colours; of that deviation in each."""
    own = rng.standard_normal((*shape, 3))
    common = rng.standard_normal((*shape, 1))
    blurred = gaussian_filter(own + common, (1.0, 1.0, 0.0), mode="wrap")
    return deviation * blurred / blurred.std()


@pytest.mark.parametrize("deviation", [0.008, 0.03, 0.08])
def test_strength_of_white_noise(deviation: float) -> None:
    noisy = clean_scene() + deviation * np.random.default_rng(1).standard_normal((SIDE, SIDE, 3))
    model = measure_noise(noisy.astype(np.float32))
    np.testing.assert_allclose(model.deviation, deviation, rtol=0.15)
    centre = model.covariance.shape[0] // 2
    np.testing.assert_allclose(np.diagonal(model.covariance[centre, centre]), 1.0, atol=0.05)
    others = model.covariance.copy()
    others[centre, centre] = 0.0
    assert np.abs(others).max() < 0.12
    off = model.covariance[centre, centre] - np.diag(np.diagonal(model.covariance[centre, centre]))
    assert np.abs(off).max() < 0.1


def test_strength_follows_brightness() -> None:
    clean = clean_scene()
    deviation = 0.01 + 0.06 * clean
    noisy = clean + deviation * np.random.default_rng(2).standard_normal(clean.shape)
    model = measure_noise(noisy.astype(np.float32))
    assert (np.diff(model.brightness) > 0).all()
    np.testing.assert_allclose(model.deviation.mean(1), 0.01 + 0.06 * model.brightness, rtol=0.2)


def test_grain_and_colour() -> None:
    noisy = clean_scene() + coarse_noise((SIDE, SIDE), 0.03, np.random.default_rng(3))
    covariance = measure_noise(noisy.astype(np.float32)).covariance
    centre = covariance.shape[0] // 2
    # Of white noise blurred by a Gaussian of deviation 1, the covariance is a Gaussian of deviation sqrt(2).
    expected = np.exp(-(np.arange(3) ** 2) / 4.0)
    np.testing.assert_allclose(covariance[centre, centre : centre + 3, 0, 0], expected, atol=0.12)
    np.testing.assert_allclose(covariance[centre : centre + 3, centre, 1, 1], expected, atol=0.12)
    assert covariance[centre, centre, 0, 2] == pytest.approx(0.5, abs=0.08)


def test_made_again_it_is_the_same_noise() -> None:
    noisy = clean_scene() + coarse_noise((SIDE, SIDE), 0.03, np.random.default_rng(4))
    model = measure_noise(noisy.astype(np.float32))
    flat = np.full((512, 512, 3), float(model.brightness[2]), dtype=np.float32)
    noise = model.add_to(flat, np.random.default_rng(5)) - flat
    np.testing.assert_allclose(noise.std((0, 1)), model.deviation[2], rtol=0.05)
    assert np.abs(noise.mean((0, 1))).max() < 0.002
    centre, scaled = model.covariance.shape[0] // 2, noise / noise.std((0, 1))
    for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 3), (-2, 1)):
        shifted = np.roll(scaled, (-dy, -dx), (0, 1))
        found = np.einsum("yxc,yxd->cd", shifted, scaled) / scaled[..., 0].size
        np.testing.assert_allclose(found, model.covariance[centre + dy, centre + dx], atol=0.06)


def test_without_noise_there_is_none() -> None:
    for picture in (clean_scene(), np.zeros((80, 80, 3), np.float32), np.ones((80, 64, 3), np.float32)):
        model = measure_noise(picture)
        assert model.strength < 0.004
        assert np.abs(model.add_to(picture, np.random.default_rng(0)) - picture).max() < 0.03


def test_too_small_a_picture() -> None:
    with pytest.raises(UserError, match="64 x 63 pixels, expected at least 64 x 64 to measure its noise"):
        measure_noise(np.zeros((63, 64, 3), np.float32))


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(MIN_SIDE, 100),
    width=st.integers(MIN_SIDE, 100),
    level=st.floats(0.0, 1.0),
    deviation=st.floats(0.0, 0.5),
)
def test_whatever_the_picture_the_answer_is_one(height: int, width: int, level: float, deviation: float) -> None:
    rng = np.random.default_rng(0)
    picture = np.clip(level + deviation * rng.standard_normal((height, width, 3)), 0, 1).astype(np.float32)
    model = measure_noise(picture)
    assert isinstance(model, NoiseModel) and np.isfinite(model.covariance).all() and (model.deviation >= 0).all()
    for shape in ((height, width, 3), (16, 17, 3)):
        again = model.add_to(np.full(shape, level, np.float32), np.random.default_rng(1))
        assert again.shape == shape and again.dtype == np.float32
        assert np.isfinite(again).all() and again.min() >= 0 and again.max() <= 1
