"""Regions, statistics and penalties against values computed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelperfect_models.channels import CHANNELS, SIGNED_CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.map_statistics import (
    Penalty,
    excess,
    map_table,
    penalty_terms,
    region_weight,
    statistic,
)


def neutral(height: int = 20, width: int = 20) -> torch.Tensor:
    return torch.full((1, len(CHANNELS), height, width), 0.5)


def test_excess_is_the_positive_part_in_intensity_units() -> None:
    maps = torch.tensor([0.0, 0.4, 0.5, 0.75, 1.0]).view(1, 1, 1, 5)
    both = excess(maps.expand(1, 2, 1, 5), ("blur", "exposure"))
    assert torch.allclose(both[0, 0, 0], torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0]))
    # Too dark is as wrong as too bright.
    assert torch.allclose(both[0, 1, 0], torch.tensor([1.0, 0.2, 0.0, 0.5, 1.0]))


def test_statistics_by_hand() -> None:
    values = torch.zeros(1, 1, 10, 10)
    values[0, 0, 0, :5] = 1.0  # 5 of 100 pixels
    values[0, 0, 9, 9] = 3.0
    everywhere = torch.ones(1, 1, 10, 10)
    assert statistic(values, everywhere, "mean").item() == pytest.approx(8 / 100)
    assert statistic(values, everywhere, "max").item() == 3.0
    assert statistic(values, everywhere, "p95").item() == pytest.approx((3 + 4 * 1) / 5)
    left = everywhere.clone()
    left[..., 5:] = 0
    assert statistic(values, left, "mean").item() == pytest.approx(5 / 50)
    assert statistic(values, left, "max").item() == 1.0


def test_an_empty_region_costs_nothing() -> None:
    nowhere = torch.zeros(1, 1, 10, 10)
    for name in ("mean", "p95", "max"):
        assert statistic(torch.ones(1, 1, 10, 10), nowhere, name).item() == 0.0


def test_regions_partition_the_picture() -> None:
    ref = torch.zeros(1, 3, 20, 30)
    ref[..., :10] = 0.1
    ref[..., 10:20] = 0.5
    ref[..., 20:] = 0.9
    shadows, highlights = region_weight(ref, "shadows"), region_weight(ref, "highlights")
    assert shadows[..., :10].min() == 1 and shadows[..., 10:].max() == 0
    assert highlights[..., 20:].min() == 1 and highlights[..., :20].max() == 0
    edges, flat = region_weight(ref, "edges"), region_weight(ref, "flat")
    assert torch.equal(edges + flat, torch.ones_like(edges))
    assert edges[0, 0, 5, 10] == 1 and edges[0, 0, 5, 5] == 0


@pytest.mark.parametrize("name", ["mean", "p95", "max"])
def test_statistics_have_finite_gradients(name: str) -> None:
    values = torch.rand(2, 1, 12, 12, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(2, 1, 12, 12, dtype=torch.float64) > 0.5).double()
    assert torch.autograd.gradcheck(lambda v: statistic(v, weight, name), values)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=90))
def test_the_highest_share_with_and_without_gradient(numbers: list[float]) -> None:
    values = torch.tensor(numbers, dtype=torch.float64).view(1, 1, 1, -1)
    count = max(1, round(0.05 * len(numbers)))
    expected = sum(sorted(numbers)[-count:]) / count
    leaf = values.clone().requires_grad_()
    with_gradient = statistic(leaf, None, "p95")
    assert statistic(values, None, "p95").item() == pytest.approx(expected)
    assert with_gradient.item() == pytest.approx(expected)
    with_gradient.sum().backward()
    assert leaf.grad is not None
    # Equal pixels have equal gradients, none below the share has any, together they are 1.
    lowest = sorted(numbers)[-count]
    assert leaf.grad.sum().item() == pytest.approx(1.0)
    assert leaf.grad[values < lowest].abs().sum().item() == 0.0
    assert torch.allclose(leaf.grad[values > lowest], torch.tensor(1.0 / count, dtype=torch.float64))
    assert leaf.grad[values == lowest].unique().numel() == 1


def test_penalties_by_hand() -> None:
    maps = neutral()
    maps[0, CHANNELS.index("blur")] = 0.6  # excess 0.2 everywhere
    maps[0, CHANNELS.index("luma_noise"), :10] = 0.75  # excess 0.5 in half
    maps[0, CHANNELS.index("exposure")] = 0.1  # darker by 0.8
    maps[0, CHANNELS.index("banding")] = 0.1  # the reference has more: free
    ref = torch.full((1, 3, 20, 20), 0.5)
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 10:, :] = 1
    penalties = [
        Penalty("blur", 3.0, above=0.05),
        Penalty("luma_noise", 1.0),
        Penalty("luma_noise", 1.0, region="mask", mask=Path("m.png")),
        Penalty("exposure", 1.0, statistic="max"),
        Penalty("banding", 1.0, statistic="max"),
        Penalty("blur", 1.0, above=0.5),
    ]
    terms = penalty_terms(maps, ref, penalties, {Path("m.png"): mask})
    assert [t.item() for t in terms] == pytest.approx([0.15, 0.25, 0.0, 0.8, 0.0, 0.0], abs=1e-6)


def test_map_table_is_the_statistics_of_the_excess() -> None:
    maps = torch.rand(2, len(CHANNELS), 12, 15, generator=torch.Generator().manual_seed(0))
    before, over, everywhere = maps.clone(), excess(maps), torch.ones(2, 1, 12, 15)
    table = map_table(maps)
    assert torch.equal(maps, before)
    for name in ("p95", "max"):
        expected = statistic(over, everywhere, name)
        found = torch.tensor([[row[channel][name] for channel in CHANNELS] for row in table])
        torch.testing.assert_close(found, expected)


def test_map_table_keeps_the_sign_in_the_mean() -> None:
    maps = neutral()
    maps[0, 0] = 0.25
    row = map_table(maps)[0][CHANNELS[0]]
    assert CHANNELS[0] not in SIGNED_CHANNELS
    assert row["mean"] == pytest.approx(-0.5) and row["max"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"type": "luma_nois"}, "did you mean 'luma_noise'"),
        ({"type": "blur", "statistic": "median"}, "median"),
        ({"type": "blur", "region": "shadow"}, "did you mean 'shadows'"),
        ({"type": "blur", "weight": -1.0}, ">= 0"),
        ({"type": "blur", "weight": float("nan")}, ">= 0"),
        ({"type": "blur", "above": 1.5}, "0 to 1"),
        ({"type": "blur", "mask": Path("m.png")}, "mask"),
    ],
)
def test_wrong_penalties_are_refused(arguments: dict, expected: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=expected):
        Penalty(**arguments)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="size"):
        region_weight(torch.zeros(1, 3, 20, 20), "mask", torch.ones(1, 1, 20, 21))


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["mean", "p95", "max"]))
def test_more_of_a_distortion_never_costs_less(low: float, high: float, name: str) -> None:
    low, high = sorted((low, high))
    ref = torch.full((1, 3, 16, 16), 0.5)
    costs = []
    for value in (low, high):
        maps = neutral(16, 16)
        maps[0, 0, 4:9] = 0.5 + value / 2
        costs.append(penalty_terms(maps, ref, [Penalty(CHANNELS[0], statistic=name)])[0].item())
    assert costs[0] <= costs[1] + 1e-6
