"""Intensity maps: range, seeds, zeros and peaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models.distortions.spatial import (
    KINDS,
    draw_peak,
    intensity_map,
    perlin,
    random_intensity_map,
)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(16, 70), width=st.integers(16, 70), octaves=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_perlin_spans_zero_to_one(height: int, width: int, octaves: int, seed: int) -> None:
    noise = perlin((height, width), np.random.default_rng(seed), octaves)
    assert noise.shape == (height, width) and noise.dtype == np.float32
    assert noise.min() == 0.0 and noise.max() == pytest.approx(1.0)


def test_perlin_equals_the_textbook_formula() -> None:
    # One octave against Perlin's definition: dot products with the corner gradients, faded.
    shape, cell = (20, 24), 7.0
    rng = np.random.default_rng(5)
    phase_y, phase_x = rng.random(), rng.random()
    y = (np.arange(shape[0]) + 0.5) / cell + phase_y
    x = (np.arange(shape[1]) + 0.5) / cell + phase_x
    angle = rng.uniform(0, 2 * np.pi, (int(y[-1]) + 2, int(x[-1]) + 2))
    expected = np.zeros(shape)
    for row, py in enumerate(y):
        for column, px in enumerate(x):
            i, j = int(py), int(px)
            ty, tx = py - i, px - j
            fade_y, fade_x = (6 * t**5 - 15 * t**4 + 10 * t**3 for t in (ty, tx))
            for di, wy in ((0, 1 - fade_y), (1, fade_y)):
                for dj, wx in ((0, 1 - fade_x), (1, fade_x)):
                    a = angle[i + di, j + dj]
                    expected[row, column] += wy * wx * (np.cos(a) * (tx - dj) + np.sin(a) * (ty - di))
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    found = perlin(shape, np.random.default_rng(5), octaves=1, cell=cell)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_smaller_cells_vary_faster() -> None:
    steps = [
        np.abs(np.diff(perlin((64, 64), np.random.default_rng(0), 1, cell), axis=1)).mean() for cell in (8.0, 32.0)
    ]
    assert steps[0] > 2 * steps[1]


@pytest.mark.parametrize("arguments", [{"octaves": 0}, {"cell": -1.0}])
def test_perlin_refuses(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        perlin((32, 32), np.random.default_rng(0), **arguments)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), peak=st.floats(0.05, 1.0), seed=st.integers(0, 2**32 - 1), follow=st.booleans())
def test_maps_reach_their_peak_and_no_more(kind: str, peak: float, seed: int, follow: bool) -> None:
    photo = np.random.default_rng(1).random((48, 40, 3), dtype=np.float32) if follow else None
    found = intensity_map((48, 40), np.random.default_rng(seed), kind, peak, photo)  # type: ignore[arg-type]
    assert found.shape == (48, 40) and found.dtype == np.float32
    assert found.min() >= 0.0 and found.max() == pytest.approx(peak, rel=1e-4)


def test_varying_maps_hold_real_zeros_and_seeds_reproduce() -> None:
    for kind in ("perlin", "region"):
        zeros = []
        for seed in range(20):
            first = intensity_map((64, 64), np.random.default_rng(seed), kind, 1.0)
            np.testing.assert_array_equal(first, intensity_map((64, 64), np.random.default_rng(seed), kind, 1.0))
            zeros.append(float(np.mean(first == 0)))
        assert np.mean(np.array(zeros) > 0.02) >= 0.9


def test_low_peaks_are_common_and_high_ones_present() -> None:
    rng = np.random.default_rng(0)
    peaks = np.array([draw_peak(rng) for _ in range(500)])
    assert 0.5 < np.mean(peaks <= 0.4) < 0.7 and peaks.max() > 0.9 and peaks.min() >= 0.05
    assert max(draw_peak(rng, 0.3) for _ in range(200)) <= 0.3


def test_all_kinds_are_drawn() -> None:
    maps = [random_intensity_map((32, 32), np.random.default_rng(seed)) for seed in range(40)]
    uniform = np.mean([np.ptp(found) == 0 for found in maps])
    assert 0.15 < uniform < 0.6


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="perlin"):
        intensity_map((32, 32), np.random.default_rng(0), "spiral")  # type: ignore[arg-type]
