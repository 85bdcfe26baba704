"""Ranking by pair scores: the fit, its errors, cycles, and the judge's part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_judge import FakeJudge
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import write_image
from tuner.rank import consistence, cyclic_triples, fit_bradley_terry, rank, rank_pairs

STRENGTHS = st.lists(st.floats(-3, 3), min_size=2, max_size=7).map(np.array)


def table(strengths: np.ndarray) -> np.ndarray:
    return strengths[:, None] - strengths[None, :]


def noisy_table(count: int, seed: int, noise: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = np.triu(table(rng.normal(size=count)) + noise * rng.normal(size=(count, count)), 1)
    return scores - scores.T


@settings(deadline=None)
@given(STRENGTHS, st.floats(0.3, 3.0))
def test_scores_that_fit_one_scale_are_recovered_without_error(strengths: np.ndarray, scale: float) -> None:
    fitted, errors = fit_bradley_terry(table(strengths), scale)
    np.testing.assert_allclose(fitted, strengths - strengths.mean(), atol=1e-4)
    assert errors is None if len(strengths) == 2 else np.all(errors < 1e-3)


@settings(deadline=None)
@given(st.integers(3, 7), st.integers(0, 1000))
def test_the_fit_is_the_maximum_of_the_likelihood(count: int, seed: int) -> None:
    scores = noisy_table(count, seed)
    fitted, _ = fit_bradley_terry(scores)
    first, second = np.triu_indices(count, 1)
    wins = special.expit(scores[first, second])

    def likelihood(u: np.ndarray) -> float:
        logit = u[first] - u[second]
        return float(wins @ special.log_expit(logit) + (1 - wins) @ special.log_expit(-logit))

    rng = np.random.default_rng(seed)
    for _ in range(5):
        assert likelihood(fitted) >= likelihood(fitted + 0.05 * rng.normal(size=count))


@settings(deadline=None)
@given(st.integers(3, 7), st.integers(0, 1000))
def test_the_order_of_the_input_does_not_matter(count: int, seed: int) -> None:
    scores = noisy_table(count, seed)
    order = np.random.default_rng(seed + 1).permutation(count)
    fitted, errors = fit_bradley_terry(scores)
    other, other_errors = fit_bradley_terry(scores[np.ix_(order, order)])
    assert errors is not None and other_errors is not None
    np.testing.assert_allclose(fitted[order], other, atol=1e-4)
    np.testing.assert_allclose(errors[order], other_errors, atol=1e-3)


def test_standard_errors_of_a_cycle_in_closed_form() -> None:
    """Rock, paper, scissors with equal scores: all strengths 0, information 0.75 on the plane of sum 0."""
    score = 1.3
    scores = np.array([[0, score, -score], [-score, 0, score], [score, -score, 0]])
    fitted, errors = fit_bradley_terry(scores)
    dispersion = 3 * (special.expit(score) - 0.5) ** 2 / 0.25
    np.testing.assert_allclose(fitted, 0.0, atol=1e-7)
    np.testing.assert_allclose(errors, np.sqrt(dispersion / 0.75 * 2 / 3), rtol=1e-6)


def test_errors_grow_with_contradictions() -> None:
    means = [np.mean(fit_bradley_terry(noisy_table(6, 3, noise))[1]) for noise in (0.05, 0.5, 2.0)]
    assert means == sorted(means)


def test_certain_wins_stay_finite_and_ordered() -> None:
    strengths = np.array([-60.0, 0.0, 45.0, 200.0])
    fitted, errors = fit_bradley_terry(table(strengths))
    assert np.isfinite(fitted).all() and np.isfinite(errors).all()
    assert (np.diff(fitted) > 0).all()


def test_a_cycle_is_reported_once_with_its_direction() -> None:
    scores = np.zeros((4, 4))
    for winner, loser in ((0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)):
        scores[winner, loser], scores[loser, winner] = 1.0, -1.0
    assert cyclic_triples(scores) == [(0, 1, 2)]
    assert cyclic_triples(-scores) == [(0, 2, 1)]
    ranking = rank_pairs(["a", "b", "c", "d"], scores)
    assert ranking.cycles == (("a", "b", "c"),)
    assert ranking.consistence == pytest.approx(0.5), "4 items have at most 2 cyclic triples"
    assert ranking.rows[-1].name == "d"


def test_consistence_at_its_ends() -> None:
    assert consistence(2, 0) == consistence(5, 0) == 1.0
    assert consistence(3, 1) == consistence(5, 5) == consistence(6, 8) == 0.0


@settings(deadline=None)
@given(STRENGTHS)
def test_one_scale_has_no_cycles(strengths: np.ndarray) -> None:
    ranking = rank_pairs([str(i) for i in range(len(strengths))], table(strengths))
    assert ranking.cycles == () and ranking.consistence == 1.0
    assert [row.place for row in ranking.rows] == list(range(1, len(strengths) + 1))
    assert np.allclose(np.diff([row.strength for row in ranking.rows]).clip(min=0), 0.0)


def test_equal_pictures_keep_their_order() -> None:
    ranking = rank_pairs(["b", "a", "c"], np.zeros((3, 3)))
    assert [row.name for row in ranking.rows] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((2, 3)), "table"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), "antisymmetric"),
        (np.array([[0.0, np.nan], [np.nan, 0.0]]), "finite"),
    ],
)
def test_a_table_that_is_none_is_refused(scores: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_pairs(["a", "b"], scores)


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    """Five darker and darker versions of one picture, and the picture."""
    clean = torch.linspace(0.2, 0.9, 48).expand(1, 3, 32, 48)
    return [write_image(tmp_path / f"{step}.png", clean * (1.0 - 0.08 * step)) for step in range(5)]


def test_with_a_reference_pictures_are_ranked_by_score(versions: list[Path]) -> None:
    judge = FakeJudge()
    ranking = rank([versions[i] for i in (3, 1, 4, 2)], judge, versions[0])
    assert [Path(row.name).stem for row in ranking.rows] == ["1", "2", "3", "4"]
    assert judge.prepared == 1, "the reference is encoded once"
    assert all(row.error is None for row in ranking.rows)
    assert "0.png" in ranking.method


class Brightness(FakeJudge):
    """Takes the brighter picture for the better one; counts comparisons."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def judge(self, test, ref):  # type: ignore[no-untyped-def]
        self.asked += 1
        maps, _ = super().judge(test, ref)
        image = ref if isinstance(ref, torch.Tensor) else ref.image
        return maps, 10.0 * (test.mean((1, 2, 3)) - image.mean((1, 2, 3)))


def test_without_a_reference_every_pair_is_asked_once(versions: list[Path]) -> None:
    judge = Brightness()
    ranking = rank([versions[i] for i in (3, 1, 4, 2, 0)], judge)
    assert [Path(row.name).stem for row in ranking.rows] == ["0", "1", "2", "3", "4"]
    assert judge.asked == 10 and judge.prepared == 4
    data = json.loads(json.dumps(ranking.as_dict()))
    assert [entry["place"] for entry in data["ranking"]] == [1, 2, 3, 4, 5]
    pairs = np.array(data["pair_scores"])
    assert (pairs[np.triu_indices(5, 1)] > 0).all(), "rows and columns in the order of the ranking"
    assert data["cyclic_triples"] == [] and data["consistence"] == 1.0


def test_too_few_and_unlike_pictures_are_refused(versions: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 2"):
        rank(versions[:1], FakeJudge())
    other = write_image(tmp_path / "other.png", torch.rand(1, 3, 40, 40))
    for reference in (None, versions[1]):
        with pytest.raises(UserError, match=r"other\.png is 40 x 40 pixels"):
            rank([versions[0], other], FakeJudge(), reference)
