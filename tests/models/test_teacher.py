"""The measures that order training pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from pixelperfect_models.networks.similarity import ACTIVITY_MAP, EDGE_MAP
from pixelperfect_models.training.teacher import (
    TEACHER_WEIGHTS,
    chroma_change,
    color_shift,
    consensus,
    measure,
    worst_change,
)


def pictures(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    base = torch.nn.functional.interpolate(
        torch.rand(1, 3, 12, 16, generator=generator), scale_factor=8, mode="bicubic"
    ).clamp(0, 1)
    return base, (base + 0.1 * torch.randn(base.shape, generator=generator)).clamp(0, 1)


def test_color_shift_is_the_cie_1976_difference() -> None:
    a, b = torch.rand(2, 1, 3, 1, 1, generator=torch.Generator().manual_seed(1))
    ours = color_shift(a.expand(1, 3, 32, 32), b.expand(1, 3, 32, 32), 8)
    lab = [rgb2lab(x.numpy().reshape(1, 1, 3)).ravel() for x in (a, b)]
    assert ours.item() == pytest.approx(float(np.linalg.norm(lab[0] - lab[1])), rel=1e-3)


@pytest.mark.parametrize(("kind", "level"), [(ACTIVITY_MAP, 0), (EDGE_MAP, 0), (EDGE_MAP, 1)])
def test_worst_change_sees_the_worst_part_and_not_brightness(kind: int, level: int) -> None:
    base, noisy = pictures()
    half = torch.cat([noisy[..., : base.shape[-1] // 2], base[..., base.shape[-1] // 2 :]], dim=-1)
    everywhere, somewhere = worst_change(noisy, base, kind, level), worst_change(half, base, kind, level)
    # A mean over the picture would be half; the 4-norm of the half is the fourth root of a half.
    # (A little less where the two halves' noise is not the same.)
    assert 0.7 * everywhere < somewhere < everywhere
    assert worst_change(base * 0.9 + 0.08, base * 0.9, kind, level) < 1e-3 * everywhere


def test_chroma_change_sees_colours_and_not_brightness() -> None:
    base, _ = pictures()
    # A grey added to all three channels moves the opponent colours by their weights' sums times that: nearly nothing.
    tinted = (base + torch.tensor([0.1, 0.0, -0.1])[:, None, None]).clamp(0, 1)
    assert chroma_change(base, base).item() == 0.0
    assert chroma_change(0.9 * base + 0.05, 0.9 * base).item() < 0.1 * chroma_change(tinted, base).item()


def test_every_measure_prefers_less_noise() -> None:
    base, noisy = pictures()
    better, worse = measure(0.5 * (base + noisy), base), measure(noisy, base)
    assert set(better) == set(TEACHER_WEIGHTS)
    assert all(better[name][0] > worse[name][0] for name in TEACHER_WEIGHTS)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 12))
def test_consensus_ranks_and_keeps_the_order_all_members_agree_on(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(count).astype(float)
    values = {name: np.exp(rng.uniform(0.1, 2) * truth).reshape(1, count) for name in TEACHER_WEIGHTS}
    quality = consensus(values)
    assert quality.shape == (1, count) and quality.min() >= 0 and quality.max() == 1
    assert np.array_equal(np.argsort(quality[0]), np.argsort(truth))
