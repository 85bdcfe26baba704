"""Training losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models.training.losses import info_nce, map_loss, ranking_loss


def test_map_loss_weighs_what_is_off_neutral() -> None:
    target = torch.tensor([[[[0.5, 0.54, 0.75, 0.2]]]])
    maps = target + 0.1
    assert map_loss(maps, target, w_high=10.0, beta=0.05).item() == pytest.approx(0.01 * (1 + 1 + 10 + 10) / 4)
    assert map_loss(target, target).item() == 0.0


def test_map_loss_gradient() -> None:
    target = torch.rand(1, 2, 4, 4, dtype=torch.float64)
    maps = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: map_loss(m, target), maps)


def test_ranking_loss_by_hand() -> None:
    quality = torch.tensor([1.0, 0.8])
    # Gap 0.2 stands for a margin of delta = 1; the scores are 0.4 apart.
    assert ranking_loss(torch.tensor([0.4, 0.0]), quality).item() == pytest.approx(0.6)
    assert ranking_loss(torch.tensor([0.0, 0.4]), quality).item() == pytest.approx(1.4)
    assert ranking_loss(torch.tensor([1.0, 0.0]), quality).item() == pytest.approx(0.0)


def test_ties_are_not_ranked() -> None:
    assert ranking_loss(torch.tensor([0.0, 5.0]), torch.tensor([0.5, 0.51])).item() == 0.0


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_scores_spaced_like_the_labels_cost_nothing(quality: list[float]) -> None:
    labels = torch.tensor(quality)
    assert ranking_loss(labels * 5.001, labels).item() == pytest.approx(0.0, abs=1e-4)


def test_info_nce_by_hand() -> None:
    embedding = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    quality = torch.tensor([0.9, 0.9, 0.1])
    # Two anchors have the other as positive (similarity 1) and one negative; the third has no positive. With the
    # constant coordinate the negative's similarity is (1, 0, 1) . (0, 1, 1) / 2 = 0.5.
    tau = 0.5
    expected = -math.log(math.exp(1 / tau) / (math.exp(1 / tau) + math.exp(0.5 / tau)))
    assert info_nce(embedding, quality, tau).item() == pytest.approx(expected, rel=1e-5)


def test_info_nce_without_a_positive_is_zero_and_differentiable() -> None:
    embedding = torch.rand(3, 4, requires_grad=True)
    loss = info_nce(embedding, torch.tensor([0.0, 0.5, 1.0]))
    loss.backward()
    assert loss.item() == 0.0 and embedding.grad is not None


def test_info_nce_prefers_like_quality_together() -> None:
    quality = torch.tensor([0.9, 0.88, 0.1, 0.12])
    good = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    assert info_nce(good, quality) < info_nce(good[[0, 2, 1, 3]], quality)
