"""The unsharp stage that all denoisers share, and the Gaussian under it, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from pipelines import load
from pipelines.denoise.base import SHARPEN_SIGMA_HIGH, unsharp
from pipelines.filters import TRUNCATE, gaussian_blur


def scipy_blur(image: Tensor, sigma: float, largest: float) -> np.ndarray:
    return gaussian_filter(image.numpy(), (0, 0, sigma, sigma), mode="mirror", radius=int(np.ceil(TRUNCATE * largest)))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.7])
def test_the_blur_is_scipys(noisy: Tensor, sigma: float) -> None:
    blurred = gaussian_blur(noisy, torch.tensor(sigma, dtype=torch.float64), 3.0)
    assert np.allclose(blurred.numpy(), scipy_blur(noisy, sigma, 3.0), atol=1e-12)


@pytest.mark.parametrize("sigma", [0.2, 0.7, 4.0])
def test_denoise_gaussian_is_scipys(noisy: Tensor, sigma: float) -> None:
    output = load("denoise.gaussian")(noisy, {"sigma": sigma})
    assert np.allclose(output.numpy(), scipy_blur(noisy, sigma, 4.0), atol=1e-12)


def test_unsharp_is_its_formula(noisy: Tensor) -> None:
    expected = noisy.numpy() + 0.8 * (noisy.numpy() - scipy_blur(noisy, 1.5, SHARPEN_SIGMA_HIGH))
    assert np.allclose(unsharp(noisy, 0.8, 1.5).numpy(), expected, atol=1e-12)


def test_amount_zero_is_the_picture_itself_but_has_a_gradient(noisy: Tensor) -> None:
    assert unsharp(noisy, 0.0, 1.0) is noisy
    amount = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    output = unsharp(noisy, amount, 1.0)
    assert torch.equal(output, noisy)
    output[0, 0, 5, 5].backward()
    assert amount.grad is not None
    assert float(amount.grad) != 0.0


@pytest.mark.parametrize("name", ["denoise.bilateral", "denoise.nlm_skimage"])
def test_denoisers_sharpen_after_denoising(name: str, noisy: Tensor) -> None:
    plain = load(name)(noisy)
    sharp = load(name)(noisy, {"sharpen_amount": 0.7, "sharpen_sigma": 0.9})
    assert torch.allclose(sharp, unsharp(plain, 0.7, 0.9).clamp(0, 1), atol=1e-6)
