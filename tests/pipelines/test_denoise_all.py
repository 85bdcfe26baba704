"""What holds for every denoiser: sizes, batches, dtypes, constants, and that noise goes down."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipelines import Choice, Parameter, load
from pipelines.registry import BUILT_INS

DENOISERS = [name for name in sorted(BUILT_INS) if name.startswith("denoise.")]
EIGHT_BIT = {"denoise.nlm_opencv"}  # rounds to 256 levels


def psnr(test: Tensor, reference: Tensor) -> float:
    return float(-10 * torch.log10((test - reference).square().mean()))


@pytest.mark.parametrize("name", DENOISERS)
def test_defaults_remove_moderate_noise(name: str, noisy: Tensor, picture: Tensor) -> None:
    gain = psnr(load(name)(noisy), picture) - psnr(noisy, picture)
    assert gain > 2.0, f"{gain:.2f} dB"


@pytest.mark.filterwarnings("ignore:Level value of .* is too high")  # PyWavelets on 16 pixels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (40, 19)])
@pytest.mark.parametrize("name", DENOISERS)
def test_sizes_and_dtypes_are_kept_at_both_ends(name: str, height: int, width: int, dtype: torch.dtype) -> None:
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(dtype)
    pipeline = load(name)
    for end in ("low", "high"):
        values = {
            key: parameter.choices[0 if end == "low" else -1]
            if isinstance(parameter, Choice)
            else getattr(parameter, end)
            for key, parameter in pipeline.parameters.items()
        }
        output = pipeline(image, values)
        assert output.shape == image.shape
        assert output.dtype == dtype


@pytest.mark.parametrize("name", DENOISERS)
def test_a_batch_is_its_pictures_one_by_one(name: str, noisy: Tensor, picture: Tensor) -> None:
    pipeline = load(name)
    values = {"sharpen_amount": 0.5}
    batch = pipeline(torch.cat([noisy, picture]), values)
    assert torch.allclose(batch[:1], pipeline(noisy, values), atol=1e-6)
    assert torch.allclose(batch[1:], pipeline(picture, values), atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", DENOISERS)
def test_constant_pictures_stay(name: str, level: float) -> None:
    image = torch.full((1, 3, 18, 21), level)
    output = load(name)(image, {"sharpen_amount": 1.0})
    assert torch.allclose(output, image, atol=1.01 / 255 if name in EIGHT_BIT else 2e-6)


STRENGTHS = {
    "denoise.bayes_shrink": ["sigma"],
    "denoise.bilateral": ["sigma_color", "chroma_sigma_color", "sigma_space"],
    "denoise.bilateral_opencv": ["sigma_color", "sigma_space"],
    "denoise.gaussian": ["sigma"],
    "denoise.guided": ["eps", "chroma_eps"],
    "denoise.joint_bilateral": ["sigma_color", "sigma_space", "guide_sigma"],
    "denoise.nlm_opencv": ["h", "h_color"],
    "denoise.nlm_skimage": ["h"],
    "denoise.total_variation": ["weight", "chroma_weight"],
    "denoise.tv_chambolle": ["weight"],
    "denoise.wavelet": ["threshold", "chroma_threshold"],
}


@pytest.mark.parametrize("name", DENOISERS)
def test_more_strength_changes_more(name: str, noisy: Tensor) -> None:
    pipeline = load(name)
    for key in STRENGTHS[name]:
        parameter = pipeline.parameters[key]
        assert isinstance(parameter, Parameter)
        values = (parameter.low, parameter.default, parameter.high)
        changes = [float((pipeline(noisy, {key: value}) - noisy).square().mean()) for value in values]
        assert changes[0] < changes[1] < changes[2], (key, changes)
