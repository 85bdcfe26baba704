"""The fixed measurements under S, against independent implementations."""

from __future__ import annotations

from unittest import mock

import numpy as np
import piq
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from pixelperfect_models.networks.mean_deviation import mean_deviation
from pixelperfect_models.networks.similarity import (
    ACTIVITY_MAP,
    EVEN_STATISTICS,
    LEVELS,
    MAPS,
    ODD_STATISTICS,
    even_statistics,
    odd_statistics,
    unlikeness,
    views,
)


def pair(height: int = 40, width: int = 56, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 1, 3, height, width, generator=generator)
    return a, 0.7 * a + 0.3 * b


@settings(deadline=None, max_examples=20)
@given(height=st.integers(16, 60), width=st.integers(16, 60), seed=st.integers(0, 10**6))
def test_even_and_odd_at_any_size(height: int, width: int, seed: int) -> None:
    a, b = (views(x) for x in pair(height, width, seed))
    even, amount = even_statistics(a, b)
    back, amount_back = even_statistics(b, a)
    assert len(a) == LEVELS and even.shape == (1, EVEN_STATISTICS) and even.min() >= 0 and amount > 0
    assert torch.equal(even, back) and torch.equal(amount, amount_back)
    odd = odd_statistics(a, b)
    assert odd.shape == (1, ODD_STATISTICS) and torch.equal(odd, -odd_statistics(b, a))
    assert even_statistics(a, [x.clone() for x in a])[1] == 0


def test_gradients_are_scharrs() -> None:
    # piq's Scharr kernel: rows 3 10 3 over 16, differences over two pixels.
    image, _ = pair()
    luma = views(image)[0][:, 0:1]
    kernel = piq.functional.scharr_filter()
    inner = torch.nn.functional.conv2d(luma, torch.stack([kernel, kernel.transpose(1, 2)]))
    ours = views(image)[0][:, 3:5, 1:-1, 1:-1]
    assert torch.allclose(ours, inner.abs(), atol=1e-6) or torch.allclose(ours, inner.abs().flip(1), atol=1e-6)
    assert torch.allclose(views(image)[0][:, 5:6, 1:-1, 1:-1], inner.square().sum(1, keepdim=True).sqrt(), atol=1e-4)


def test_activity_is_the_local_standard_deviation() -> None:
    image, other = pair()
    found = views(image)[0]
    luma = found[0, 0].numpy().astype(np.float64)
    mean = uniform_filter(luma, 5)
    expected = np.sqrt(uniform_filter((luma - mean) ** 2, 5))
    inside = (slice(6, -6), slice(6, -6))
    assert np.allclose(found[0, 6].numpy()[inside], expected[inside], atol=1e-4)
    # And its unlikeness is one less SSIM's contrast comparison.
    second = views(other)[0]
    s, t = found[0, 6], second[0, 6]
    contrast = (2 * s * t + 1e-4) / (s * s + t * t + 1e-4)
    assert torch.allclose(unlikeness(found, second)[0, ACTIVITY_MAP], 1 - contrast, atol=1e-6)


def test_unlikeness_is_none_for_equal_pictures_and_bounded() -> None:
    a, b = (views(x)[0] for x in pair())
    maps = unlikeness(a, b)
    assert maps.shape == (1, MAPS, 40, 56) and maps.min() >= 0
    assert maps[:, :6].max() <= 2.0  # ratios of squares of non-negative values, of chroma up to two
    assert bool((unlikeness(a, a.clone()) == 0).all())


def test_the_worst_part_counts_most_in_the_four_norm() -> None:
    image, other = pair(64, 64)
    spread = 0.5 * (image + other)
    local = image.clone()
    local[..., :16, :16] = other[..., :16, :16]
    everywhere = even_statistics(views(spread), views(image))[0][0]
    somewhere = even_statistics(views(local), views(image))[0][0]
    mean, worst = ACTIVITY_MAP, 2 * MAPS + ACTIVITY_MAP
    assert somewhere[worst] / everywhere[worst] > 2 * somewhere[mean] / everywhere[mean]


def test_gradient_of_the_measurements_matches_finite_differences() -> None:
    image, other = (x.double() for x in pair(24, 20, seed=3))
    direction = torch.rand(image.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64) - 0.5

    def value(x: torch.Tensor) -> torch.Tensor:
        a, b = views(x), views(other)
        return torch.log(even_statistics(a, b)[0] + 1e-5).sum() + odd_statistics(a, b).sum()

    image.requires_grad_(True)
    value(image).backward()
    assert image.grad is not None
    with torch.no_grad():
        step = 1e-7
        numeric = (value(image + step * direction) - value(image - step * direction)) / (2 * step)
    assert numeric.item() == pytest.approx((image.grad * direction).sum().item(), rel=1e-3)


@settings(deadline=None, max_examples=15)
@example(seed=527, kind="local")
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["noise", "blur", "colour", "local"]))
def test_mean_deviations_are_mdsi_of_both_orders(seed: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(1, 3, 48, 64, generator=generator)
    b = a.clone()
    if kind == "noise":
        b = b + 0.2 * torch.randn(b.shape, generator=generator)
    elif kind == "blur":
        b = torch.nn.functional.avg_pool2d(b, 3, stride=1, padding=1)
    elif kind == "colour":
        b = b * torch.tensor([1.0, 0.6, 0.8]).view(1, 3, 1, 1)
    else:
        b[..., 10:26, 20:40] = 0.5
    # Within black, so that nothing depends on how a border is continued.
    a, b = (torch.nn.functional.pad(x.clamp(0, 1), (2, 2, 2, 2)) for x in (a, b))
    a, b = a.double(), b.double()
    theirs = sorted(piq.mdsi(x, y).item() ** 4 for x, y in ((a, b), (b, a)))
    measured = [views(x)[0][:, :3] for x in (a, b)]
    # What keeps gradients finite moves the fourth root of a similarity near 0 (by 0.0026 at most of 1200 pairs);
    # without it the two are the same.
    with mock.patch("pixelperfect_models.networks.mean_deviation.OF_ROOT", 1e-30):
        assert mean_deviation(*measured)[0, 0::2].tolist() == pytest.approx(theirs, rel=1e-4, abs=2e-5)
    assert mean_deviation(*measured)[0, 0::2].tolist() == pytest.approx(theirs, rel=4e-3, abs=2e-5)
