"""The measures of the maps, on hand-made maps whose answers are known."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation import map_measures as measure
from pixelperfect_models.evaluation.consistency import cyclic_share, cyclic_triples, order_agreement, pair_agreement
from pixelperfect_models.evaluation.domain_shift import (
    feature_divergence,
    js_divergence,
    match_engine,
    measure_shift,
    scene_statistics,
)
from pixelperfect_models.evaluation.map_reality import TID2013_RIGHT, middle, real_noise_pairs
from pixelperfect_models.evaluation.map_trust import evaluate_foreign, evaluate_two, read_photos
from pixelperfect_models.evaluation.planted import evaluate_planted, held_out_types
from pixelperfect_models.images import to_array, write_image


@pytest.fixture
def half() -> np.ndarray:
    """The left half of a 20 x 20 picture."""
    inside = np.zeros((20, 20), dtype=bool)
    inside[:, :10] = True
    return inside


def test_auc_knows_perfect_blind_and_inverted(half: np.ndarray) -> None:
    assert measure.auc(half.astype(float), half) == 1.0
    assert measure.auc(1.0 - half, half) == 0.0
    assert measure.auc(np.zeros((20, 20)), half) == 0.5
    assert np.isnan(measure.auc(np.zeros((20, 20)), np.ones((20, 20), dtype=bool)))


def test_iou_counts_pixels(half: np.ndarray) -> None:
    shifted = np.roll(half, 5, axis=1)
    assert measure.iou(half, half) == 1.0
    assert measure.iou(half, ~half) == 0.0
    assert measure.iou(half, shifted) == pytest.approx(5 / 15)
    assert measure.iou(np.zeros_like(half), np.zeros_like(half)) == 1.0


@pytest.mark.parametrize("rule", [measure.half_height, measure.otsu])
@pytest.mark.parametrize("height", [0.01, 0.3, 1.0])
def test_thresholds_find_a_plateau_of_any_height(rule, height: float, half: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    values = np.where(half, height, 0.1 * height)
    assert measure.iou(rule(values), half) == 1.0
    assert not rule(np.zeros((20, 20))).any()


def test_leakage_leaves_the_right_channels_out(half: np.ndarray) -> None:
    maps = np.full((3, 20, 20), 0.5)
    maps[0] += 0.4 * half  # right
    maps[1] += 0.1 * half
    maps[2] -= 0.2 * half  # a deviation downwards leaks as well
    assert measure.leakage(maps, [0]) == pytest.approx(0.075)
    assert measure.leakage(maps, [0], half) == pytest.approx(0.15)
    assert measure.leakage(maps, [0], ~half) == 0.0
    assert measure.strongest(maps - 0.5, half) == 0


def test_intensity_srcc() -> None:
    assert measure.intensity_srcc([1, 2, 3], [0.1, 0.2, 0.9]) == pytest.approx(1.0)
    assert measure.intensity_srcc([1, 2, 3], [0.9, 0.2, 0.1]) == pytest.approx(-1.0)
    assert measure.intensity_srcc([1, 2, 3], [0.3, 0.3, 0.3]) == 0.0


def test_correlation_of_channels_leaves_silent_ones_out() -> None:
    rows = np.random.default_rng(0).standard_normal((4000, 2))
    assert measure.off_diagonal_correlation(rows) < 0.05
    copied = np.stack([rows[:, 0], -rows[:, 0], np.zeros(4000)], axis=1)
    assert measure.off_diagonal_correlation(copied) == pytest.approx(1.0)
    assert np.isnan(measure.off_diagonal_correlation(np.zeros((5, 3))))


def test_separation(half: np.ndarray) -> None:
    assert measure.separation(half.astype(float), half, ~half) == (1.0, 1.0)
    assert measure.separation(np.zeros((20, 20)), half, ~half) == (0.5, 0.5)
    area, share = measure.separation(np.where(half, 0.3, 0.1), half, ~half)
    assert area == 1.0 and share == pytest.approx(0.75)


def test_masks_are_soft_and_apart() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        mask = measure.region_mask((96, 96), rng)
        assert mask.min() >= 0 and mask.max() <= 1 and 0.15 < (mask > 0.5).mean() < 0.65
        assert ((mask > 0.1) & (mask < 0.9)).any()
        one, two = measure.opposite_masks((96, 96), rng)
        assert not ((one > 0.5) & (two > 0.5)).any()
        assert (one > 0.5).any() and (two > 0.5).any()


def test_blend_leaves_the_outside_alone(half: np.ndarray) -> None:
    photo, other = np.zeros((20, 20, 3), np.float32), np.ones((20, 20, 3), np.float32)
    mixed = measure.blend(photo, other, half.astype(np.float32))
    assert (mixed[half] == 1).all() and (mixed[~half] == 0).all()


def _brute_force(wins: np.ndarray) -> int:
    found = 0
    for a, b, c in itertools.combinations(range(len(wins)), 3):
        found += (wins[a, b] and wins[b, c] and wins[c, a]) or (wins[b, a] and wins[c, b] and wins[a, c])
    return int(found)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 8), st.randoms(use_true_random=False))
def test_cyclic_triples_are_those_of_brute_force(count: int, random) -> None:  # type: ignore[no-untyped-def]
    upper = np.triu([[random.choice((-1.0, 0.0, 1.0)) for _ in range(count)] for _ in range(count)], 1)
    scores = np.zeros((count, count)) if count == 0 else upper - upper.T
    cycles, triples = cyclic_triples(scores)
    assert cycles == _brute_force(scores > 0)
    assert triples == len(list(itertools.combinations(range(count), 3)))


def test_known_tournaments() -> None:
    ordered = np.sign(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    assert cyclic_triples(ordered) == (0, 20)
    ring = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]])
    assert cyclic_triples(ring) == (1, 1)
    # Five items, each beating the next two round the table: the most cycles that five can have (Kendall).
    round_table = np.zeros((5, 5))
    for place in range(5):
        for step in (1, 2):
            round_table[place, (place + step) % 5], round_table[(place + step) % 5, place] = 1.0, -1.0
    assert cyclic_triples(round_table) == (5, 10)
    assert cyclic_share([ordered, ring]) == pytest.approx(1 / 21)
    assert np.isnan(cyclic_share([np.zeros((2, 2))]))
    with pytest.raises(ValueError, match="antisymmetric"):
        cyclic_triples(np.ones((3, 3)))


def test_agreement_of_orders() -> None:
    values = [3.0, 1.0, 2.0]
    table = np.subtract.outer(values, values)
    assert pair_agreement(table, values) == 1.0 and pair_agreement(-table, values) == 0.0
    assert np.isnan(pair_agreement(table, [1.0, 1.0, 1.0]))
    assert order_agreement(values, [30.0, 10.0, 20.0]) == pytest.approx(1.0)
    assert order_agreement(values, [5.0, 5.0, 5.0]) == 0.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12))
def test_divergence_is_symmetric_and_bounded(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(column) + 1 for column in zip(*pairs, strict=True))
    assert js_divergence(one, one) == pytest.approx(0.0, abs=1e-12)
    assert js_divergence(one, other) == pytest.approx(js_divergence(other, one), abs=1e-12)
    assert 0.0 <= js_divergence(one, other) <= 1.0


def test_divergence_of_known_histograms() -> None:
    assert js_divergence(np.array([3, 0]), np.array([0, 5])) == pytest.approx(1.0)
    assert js_divergence(np.array([1, 1]), np.array([7, 7])) == pytest.approx(0.0)
    # One bit of four is shared: by hand, 1/2 KL((1/2, 1/2, 0) | m) twice with m = (1/4, 1/2, 1/4).
    assert js_divergence(np.array([1, 1, 0]), np.array([0, 1, 1])) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="non-negative"):
        js_divergence(np.array([0, 0]), np.array([1, 1]))


def test_feature_divergence_finds_the_shifted_column() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 4000, 2))
    same, shifted = feature_divergence(one, other + np.array([0.0, 3.0]))
    assert same < 0.02 and shifted > 0.6
    assert feature_divergence(np.zeros((9, 1)), np.ones((9, 1)))[0] == pytest.approx(1.0)


def test_scene_statistics_tell_white_from_smooth_noise(photo: torch.Tensor) -> None:
    clean = to_array(photo)
    noise = np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)
    white = scene_statistics((clean + 0.1 * noise, clean))
    smooth = scene_statistics((clean + 0.1 * (noise + np.roll(noise, 1, 1)), clean))
    assert abs(white[:, 3].mean()) < 0.1 < 0.3 < smooth[:, 3].mean()
    assert (scene_statistics((clean, clean)) == 0).all()


def test_engine_is_matched_in_error(photo: torch.Tensor, noisy_photo: torch.Tensor) -> None:
    real = (to_array(noisy_photo), to_array(photo))
    found, ref = match_engine(real, "luma_noise", np.random.default_rng(0))
    target = np.mean((real[0] - real[1]) ** 2)
    assert np.mean((found - ref) ** 2) == pytest.approx(target, rel=0.15)


def test_shift_is_above_its_baseline_only_for_another_kind(judge, photo: torch.Tensor) -> None:  # type: ignore[no-untyped-def]
    clean, rng = to_array(photo), np.random.default_rng(0)

    def noisy(grey: bool) -> tuple[np.ndarray, np.ndarray]:
        noise = rng.standard_normal((*clean.shape[:2], 1 if grey else 3))
        return np.clip(clean + 0.08 * noise, 0, 1).astype(np.float32), clean

    grey, again, coloured = ([noisy(kind) for _ in range(8)] for kind in (True, True, False))
    same = measure_shift(judge, grey, again)["scene"]["chroma"]
    other = measure_shift(judge, grey, coloured)["scene"]["chroma"]
    assert same["shift"] < 2 * same["baseline"] + 0.02 and other["shift"] > 0.3
    with pytest.raises(ValueError, match="4 or more"):
        measure_shift(judge, grey[:3], again[:3])


def test_foreign_figures_have_their_form(judge, photo: torch.Tensor) -> None:  # type: ignore[no-untyped-def]
    photos = [to_array(photo)]
    found = evaluate_foreign(judge, photos, per_type=1, side=48, names=("opencv_gaussian", "pillow_brightness"))
    row = found["types"]["pillow_brightness"]
    assert found["pictures"] == 10 and set(row["answers"]) == set(CHANNELS)
    assert sum(row["strongest"].values()) == pytest.approx(1.0)
    assert found["anti_symmetry"] < 1e-5
    assert found["mean"]["top1"] == pytest.approx(np.mean([found["types"][name]["top1"] for name in found["types"]]))
    again = evaluate_foreign(judge, photos, per_type=1, side=48, names=("opencv_gaussian", "pillow_brightness"))
    assert json.dumps(again) == json.dumps(found)
    assert 0 <= evaluate_two(judge, photos, pairs=2, side=48)["share"] <= 1


class Oracle(torch.nn.Module):
    """Answers ``exposure`` by how much brighter the test is, and nothing else."""

    types = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def prepare(self, ref: torch.Tensor) -> torch.Tensor:
        return ref

    def maps(self, test: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
        maps = torch.full((len(test), len(CHANNELS), *test.shape[-2:]), 0.5)
        maps[:, CHANNELS.index("exposure")] += 0.5 * (test - ref).mean(1).clamp(-1, 1)
        return maps


def test_an_oracle_gets_full_marks(photo: torch.Tensor) -> None:
    bright = [to_array(photo) * np.float32(0.5) + np.float32(0.2)]  # no black, where a factor changes nothing
    row = evaluate_foreign(Oracle(), bright, per_type=2, side=60, names=("pillow_brightness",))["mean"]  # type: ignore[arg-type]
    assert row["top1"] == row["strict"] == 1.0 and row["srcc"] == pytest.approx(1.0)
    assert row["auc"] > 0.99 and row["iou"] > 0.8 and row["leakage"] == 0.0


def test_planted_types_can_be_chosen(tmp_path: Path, photo: torch.Tensor) -> None:
    write_image(tmp_path / "a.png", photo)
    found = evaluate_planted(tmp_path, Oracle(), per_type=2, side=48, types=("exposure", "jpeg"))  # type: ignore[arg-type]
    assert list(found["types"]) == ["exposure", "jpeg"] and found["pairs"] == 4
    assert found["types"]["exposure"]["top1"] == 1.0 and found["types"]["exposure"]["leak"] == 0.0
    alone = evaluate_planted(tmp_path, Oracle(), per_type=2, side=48, types=("jpeg",))  # type: ignore[arg-type]
    assert alone["types"]["jpeg"] == found["types"]["jpeg"]
    with pytest.raises(UserError, match=r"exposur.*did you mean 'exposure'"):
        evaluate_planted(tmp_path, Oracle(), types=("exposur",), side=48)  # type: ignore[arg-type]


def test_held_out_types_come_from_the_model_card(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model card"):
        held_out_types(tmp_path)
    card = tmp_path / "distortion.json"
    card.write_text(json.dumps({"config": {"distortion": {"types": ["jpeg"]}}}))
    assert "jpeg" not in held_out_types(tmp_path) and "banding" in held_out_types(tmp_path)
    card.write_text(json.dumps({"config": {"distortion": {"types": None}}}))
    assert held_out_types(tmp_path) == ()
    card.write_text("{}")
    with pytest.raises(UserError, match="--held-out"):
        held_out_types(tmp_path)


def test_right_answers_of_tid2013_are_channels() -> None:
    assert len(TID2013_RIGHT) == 24
    assert {name for right in TID2013_RIGHT.values() for name in right} <= set(CHANNELS)


def test_pairs_and_photos_that_are_missing(tmp_path: Path, photo: torch.Tensor) -> None:
    write_image(tmp_path / "noisy" / "a.png", photo)
    with pytest.raises(UserError, match="clean partner"):
        real_noise_pairs(tmp_path, 32)
    write_image(tmp_path / "clean" / "a.png", photo)
    ((noisy, clean),) = real_noise_pairs(tmp_path, 32)
    assert noisy.shape == clean.shape == (32, 32, 3) and np.array_equal(noisy, clean)
    assert middle(np.zeros((20, 40, 3)), 32).shape == (20, 32, 3)
    with pytest.raises(UserError, match="at least 512 x 512"):
        read_photos([tmp_path / "noisy"], 512)
