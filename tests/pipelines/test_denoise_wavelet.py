"""The starlet denoiser against the transform written with scipy, and its constants against a measurement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve1d
from torch import Tensor

from pipelines import load
from pipelines.color import to_ycbcr
from pipelines.denoise.wavelet import NOISE_GAIN, b3_smooth, garrote


def smooth(plane: np.ndarray, spacing: int) -> np.ndarray:
    kernel = np.zeros(4 * spacing + 1)
    kernel[::spacing] = np.array([1, 4, 6, 4, 1]) / 16
    for axis in (0, 1):
        plane = convolve1d(plane, kernel, axis=axis, mode="nearest")
    return plane


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_wavelet_is_its_definition_on_each_plane(noisy: Tensor, levels: int) -> None:
    values = {"threshold": 0.05, "chroma_threshold": 0.2, "levels": levels}
    ours = to_ycbcr(load("denoise.wavelet")(noisy, values))[0].numpy()
    for plane, threshold in enumerate((0.05, 0.2, 0.2)):
        rest = to_ycbcr(noisy)[0, plane].numpy()
        expected = np.zeros_like(rest)
        for level in range(levels):
            smoother = smooth(rest, 2**level)
            detail, limit = rest - smoother, threshold * NOISE_GAIN[level]
            expected += np.where(np.abs(detail) > limit, detail - limit**2 / detail, 0.0)
            rest = smoother
        assert np.allclose(ours[plane], expected + rest, atol=1e-10)


def test_the_noise_gains_are_those_of_white_noise() -> None:
    rest = torch.randn(1, 1, 512, 512, generator=torch.Generator().manual_seed(0))
    for level, gain in enumerate(NOISE_GAIN):
        smoother = b3_smooth(rest, 2**level)
        assert float((rest - smoother).std()) == pytest.approx(gain, rel=0.04)
        rest = smoother


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(-2, 2), st.floats(1e-4, 1.0))
def test_garrote_shrinks_and_keeps_the_sign(coefficient: float, limit: float) -> None:
    value = torch.tensor(coefficient, dtype=torch.float64)
    shrunk = float(garrote(value, torch.tensor(limit, dtype=torch.float64)))
    assert abs(shrunk) <= abs(coefficient)
    assert shrunk * coefficient >= 0
    assert (shrunk == 0) == (abs(coefficient) <= limit)
    assert abs(coefficient) - abs(shrunk) <= limit + 1e-12
