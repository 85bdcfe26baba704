"""The shipped judge: what DESIGN.md promises of it, on real weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models import PerceptualLoss, PixelPerfect
from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import to_array, to_tensor
from pixelperfect_models.judge import DISTORTION_WEIGHTS, SCORE_WEIGHTS, shipped_weights
from pixelperfect_models.map_statistics import Penalty


def blurred(image: torch.Tensor, size: int = 5) -> torch.Tensor:
    padded = torch.nn.functional.pad(image, (size // 2,) * 4, mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, size, stride=1)


def noisy(image: torch.Tensor, deviation: float, seed: int = 0) -> torch.Tensor:
    noise = torch.randn(image[:, :1].shape, generator=torch.Generator().manual_seed(seed))
    return (image + deviation * noise).clamp(0, 1)


def test_types_are_the_channels(judge: PixelPerfect) -> None:
    assert judge.types == CHANNELS


@settings(deadline=None, max_examples=12)
@given(height=st.integers(16, 90), width=st.integers(16, 90), seed=st.integers(0, 10**6))
def test_antisymmetry_and_identity(judge: PixelPerfect, height: int, width: int, seed: int) -> None:
    a, b = torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    maps, score = judge.judge(a, b)
    back, score_back = judge.judge(b, a)
    assert (maps + back - 1).abs().max() <= 1e-6
    # Odd by construction; but the maps near 0.5 that S is given are rounded to 6e-8, and weighed by up to some tens.
    assert (score + score_back).abs().max() <= 1e-5
    same, zero = judge.judge(a, a.clone())
    assert bool((same == 0.5).all()) and bool((zero == 0).all())


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 101), (99, 23)])
def test_small_and_odd_sizes(judge: PixelPerfect, photo: torch.Tensor, size: tuple[int, int]) -> None:
    a = torch.nn.functional.interpolate(photo, size=size, mode="bilinear")
    b = noisy(a, 0.05)
    maps = judge.maps(b, a)
    assert maps.shape == (1, len(CHANNELS), *size)
    assert (maps + judge.maps(a, b) - 1).abs().max() <= 1e-6


def test_noise_and_blur_are_worse_and_named(judge: PixelPerfect, photo: torch.Tensor) -> None:
    for spoilt, channel in ((noisy(photo, 0.06), "luma_noise"), (blurred(photo), "blur")):
        maps, score = judge.judge(spoilt, photo)
        mean = (2 * maps - 1).mean((0, 2, 3))
        assert score.item() < 0
        assert mean[CHANNELS.index(channel)] == mean.max()
        assert mean[CHANNELS.index(channel)] > 0.1


def test_more_of_it_is_worse(judge: PixelPerfect, photo: torch.Tensor) -> None:
    # Deviations within the engine's calibrated range: 0.0078 is intensity 0.1, 0.066 intensity 1.
    scores = [judge.score(noisy(photo, deviation), photo).item() for deviation in (0.008, 0.02, 0.045)]
    assert scores == sorted(scores, reverse=True)
    maps = [
        judge.maps(noisy(photo, deviation), photo)[0, CHANNELS.index("luma_noise")].mean().item()
        for deviation in (0.01, 0.03, 0.06)
    ]
    assert maps == sorted(maps)


def test_the_reference_need_not_be_pristine(judge: PixelPerfect, photo: torch.Tensor) -> None:
    light, heavy = noisy(photo, 0.02, 1), noisy(photo, 0.08, 2)
    maps, score = judge.judge(light, heavy)
    assert score.item() > 0
    assert (2 * maps - 1)[0, CHANNELS.index("luma_noise")].mean() < -0.1


def test_a_planted_region_is_found(judge: PixelPerfect, photo: torch.Tensor) -> None:
    where = torch.zeros(photo.shape[-2:])
    where[:, 48:] = 0.8
    test, _ = DistortionEngine().planted(to_array(photo), "luma_noise", where.numpy(), np.random.default_rng(0))
    noise = (2 * judge.maps(to_tensor(test), photo) - 1)[0, CHANNELS.index("luma_noise")]
    assert noise[:, 56:].mean() > 3 * noise[:, :40].mean().abs()


def test_score_gradient_agrees_with_finite_differences(judge: PixelPerfect, photo: torch.Tensor) -> None:
    twin = PixelPerfect.from_pretrained().double()
    ref = photo[..., :32, :32].double()
    test = noisy(photo, 0.04)[..., :32, :32].double().requires_grad_(True)
    direction = torch.randn(test.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def value(image: torch.Tensor) -> torch.Tensor:
        maps, score = twin.judge(image, ref)
        return score.sum() + maps[:, :3].sum() / 100

    value(test).backward()
    assert test.grad is not None and bool(torch.isfinite(test.grad).all())
    with torch.no_grad():
        step = 1e-8  # short, so that hardly any of the rectifiers changes its side within it
        difference = (value(test + step * direction) - value(test - step * direction)) / (2 * step)
    assert difference.item() == pytest.approx((test.grad * direction).sum().item(), rel=1e-4, abs=1e-6)


def test_weights_are_small_and_carry_cards() -> None:
    folder = shipped_weights()
    total = 0
    for name in (DISTORTION_WEIGHTS, SCORE_WEIGHTS):
        card = json.loads((folder / name).with_suffix(".json").read_text())
        total += (folder / name).stat().st_size
        assert card["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert card["steps"] > 0 and card["human_labels"] == "none used" and card["metrics"]
    assert total <= 20e6


def test_wrong_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"distortion\.safetensors"):
        PixelPerfect.from_pretrained(tmp_path)
    (tmp_path / DISTORTION_WEIGHTS).write_bytes(b"not weights")
    with pytest.raises(UserError, match="not a safetensors file"):
        PixelPerfect.from_pretrained(tmp_path)


def test_perceptual_loss(judge: PixelPerfect, photo: torch.Tensor) -> None:
    loss = PerceptualLoss(penalties={"luma_noise": 2.0}, judge=judge)
    assert loss(photo, photo).item() == 0.0
    output = noisy(photo, 0.05).requires_grad_(True)
    value = loss(output, photo)
    maps, difference = judge.maps(output, photo), judge.difference(output, photo)
    over = (2 * maps - 1).clamp(min=0)[:, CHANNELS.index("luma_noise")].mean()
    assert value.item() == pytest.approx((difference + 2 * over).item(), rel=1e-5)
    assert PerceptualLoss(judge=judge)(output, photo).item() == pytest.approx(difference.item(), rel=1e-5)
    value.backward()
    assert output.grad is not None and output.grad.abs().sum() > 0 and bool(torch.isfinite(output.grad).all())
    assert all(p.grad is None for p in loss.parameters())


def test_perceptual_loss_takes_full_penalties(judge: PixelPerfect, photo: torch.Tensor) -> None:
    tolerant = PerceptualLoss([Penalty("luma_noise", 5.0, above=1.0)], score_weight=0.0, judge=judge)
    assert tolerant(noisy(photo, 0.05), photo).item() == 0.0
    with pytest.raises(UserError, match="did you mean 'luma_noise'"):
        PerceptualLoss({"luma_nois": 1.0}, judge=judge)


def test_descending_the_loss_removes_noise(judge: PixelPerfect, photo: torch.Tensor) -> None:
    # The loss is for training: following its gradient from a noisy picture must bring it nearer to the clean one.
    image = noisy(photo, 0.06).requires_grad_(True)
    optimizer = torch.optim.Adam([image], lr=2e-3)
    loss = PerceptualLoss({"luma_noise": 2.0}, judge=judge)
    before = (image.detach() - photo).square().mean()
    for _ in range(15):
        optimizer.zero_grad()
        loss(image, photo).backward()
        optimizer.step()
    assert (image.detach() - photo).square().mean() < before
