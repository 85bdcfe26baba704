"""Correlations, the logistic fit and the intervals, against values known from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from pixelperfect_models.evaluation.agreement import Rated, agreement, kendall, pearson, spearman
from pixelperfect_models.evaluation.logistic import fit_logistic, logistic4, logistic5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def sample(rng: np.random.Generator, count: int = 120) -> tuple[Rated, np.ndarray]:
    """Ratings with ties, and answers that follow them with errors."""
    mos = np.round(rng.uniform(1, 9, count), 1)
    answer = mos + rng.normal(0, 1.5, count)
    kinds = [("blur", "noise", "jpeg")[index % 3] for index in range(count)]
    scenes = [f"scene{index % 4}" for index in range(count)]
    return Rated(mos, kinds, scenes), answer


def test_correlations_are_scipys(rng: np.random.Generator) -> None:
    rated, answer = sample(rng)
    assert float(spearman(answer, rated.mos)) == pytest.approx(spearmanr(answer, rated.mos).statistic)
    assert float(pearson(answer, rated.mos)) == pytest.approx(pearsonr(answer, rated.mos).statistic)
    assert kendall(answer, rated.mos) == pytest.approx(kendalltau(answer, rated.mos).statistic)
    rows = np.stack([answer, -answer, rng.normal(size=len(answer))])
    expected = [spearmanr(row, rated.mos).statistic for row in rows]
    assert spearman(rows, rated.mos[None]).tolist() == pytest.approx(expected)


def test_correlations_by_hand() -> None:
    # 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15), and (5 pairs in order - 1 not) / 6.
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 30.0, 20.0, 40.0])
    assert float(spearman(first, second)) == pytest.approx(0.8)
    assert kendall(first, second) == pytest.approx(4 / 6)
    assert np.isnan(spearman(first, np.ones(4))) and np.isnan(spearman(first[:2], second[:2]))


def test_a_monotone_answer_is_perfect_in_rank_and_after_the_fit() -> None:
    mos = np.linspace(1.5, 8.5, 60)
    answer = 0.97 + 0.001 * np.log((mos - 1) / (9 - mos))  # a metric that crowds near 1
    row = agreement(Rated(mos, ["a"] * 60, ["b"] * 60), {"m": answer}, bootstrap=20)["overall"]["m"]
    assert [row[key] for key in ("srcc", "krcc", "low", "high")] == pytest.approx([1.0] * 4)
    assert row["plcc"] == pytest.approx(1.0, abs=1e-6) and row["rmse"] < 1e-3
    assert row["plcc_linear"] < 0.998
    assert row["fit"]["function"] == "logistic4"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_known_logistics_are_found(scale: float, rng: np.random.Generator) -> None:
    x = rng.uniform(-3, 3, 200)
    four = logistic4(x, 8.0, 2.0, 0.5, 0.4)
    fit = fit_logistic(x * scale, four)
    assert fit.name == "logistic4" and fit(x * scale) == pytest.approx(four, abs=1e-4)
    top, bottom, middle, width = fit.coefficients
    assert (max(top, bottom), min(top, bottom)) == pytest.approx((8.0, 2.0), abs=1e-3)
    assert middle * fit.scale + fit.center == pytest.approx(0.5 * scale, rel=1e-3)
    assert abs(width) * fit.scale == pytest.approx(0.4 * scale, rel=1e-3)
    five = logistic5(x, 4.0, 2.5, 0.3, 0.5, 5.0)
    fit = fit_logistic(x * scale, five, parameters=5)
    assert fit.name == "logistic5" and fit(x * scale) == pytest.approx(five, abs=1e-3)


def test_the_five_parameter_function_is_sheikhs() -> None:
    x = np.array([-1.0, 0.2, 2.0])
    b1, b2, b3, b4, b5 = 3.0, 1.7, 0.4, 0.6, 5.0
    assert logistic5(x, b1, b2, b3, b4, b5) == pytest.approx(b1 * (0.5 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5)


def test_answers_the_wrong_way_round_fit_a_falling_curve(rng: np.random.Generator) -> None:
    rated, answer = sample(rng)
    row = agreement(rated, {"m": -answer}, bootstrap=0)["overall"]["m"]
    assert row["srcc"] < -0.8 and row["plcc"] > 0.8  # the fit turns, the rank does not
    assert np.isnan(row["low"])


def test_where_nothing_can_be_fitted_it_is_a_line_and_says_so() -> None:
    flat = fit_logistic(np.ones(20), np.arange(20.0))
    assert flat.name == "line" and flat(np.ones(3)) == pytest.approx([9.5] * 3)
    few = fit_logistic(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0]))
    assert few.name == "line" and few(np.array([3.0])) == pytest.approx([6.0])
    with pytest.raises(ValueError, match="expected 4 or 5"):
        fit_logistic(np.arange(9.0), np.arange(9.0), parameters=3)


def test_groups_and_their_means(rng: np.random.Generator) -> None:
    rated, answer = sample(rng)
    result = agreement(rated, {"m": answer}, bootstrap=50)
    kinds, scenes = np.array(rated.types), np.array(rated.contents)
    by_type = {
        kind: spearmanr(answer[kinds == kind], rated.mos[kinds == kind]).statistic
        for kind in dict.fromkeys(rated.types)
    }
    assert {kind: row["m"]["srcc"] for kind, row in result["types"].items()} == pytest.approx(by_type)
    assert list(result["types"]) == ["blur", "noise", "jpeg"]
    assert result["overall"]["m"]["mean_type_srcc"] == pytest.approx(np.mean(list(by_type.values())))
    by_scene = [spearmanr(answer[scenes == name], rated.mos[scenes == name]).statistic for name in sorted(set(scenes))]
    assert result["overall"]["m"]["mean_content_srcc"] == pytest.approx(np.mean(by_scene))
    low, high = result["types"]["blur"]["m"]["interval"]
    assert low < by_type["blur"] < high


def test_the_interval_of_srcc_is_as_wide_as_theory_says() -> None:
    # Bonett and Wright 2000: the standard error of Fisher's z of SRCC is sqrt((1 + r^2 / 2) / (n - 3)).
    rng = np.random.default_rng(0)
    count = 400
    mos = rng.normal(size=count)
    answer = mos + rng.normal(0, 0.8, count)
    row = agreement(Rated(mos, ["a"] * count, ["b"] * count), {"m": answer}, bootstrap=600)["overall"]["m"]
    error = np.sqrt((1 + row["srcc"] ** 2 / 2) / (count - 3))
    expected = np.tanh(np.arctanh(row["srcc"]) + 1.96 * error * np.array([-1, 1]))
    assert [row["low"], row["high"]] == pytest.approx(expected.tolist(), abs=0.015)
    assert row["intervals"]["krcc"][0] < row["krcc"] < row["intervals"]["krcc"][1]
    assert row["intervals"]["plcc"][0] < row["plcc"] < row["intervals"]["plcc"][1]
    assert row["intervals"]["rmse"][0] < row["rmse"] < row["intervals"]["rmse"][1]


def test_methods_are_compared_in_the_same_draws(rng: np.random.Generator) -> None:
    rated, answer = sample(rng, 200)
    nearly = answer + rng.normal(0, 0.05, 200)
    result = agreement(rated, {"judge": answer, "twin": answer.copy(), "near": nearly}, bootstrap=300, compare="judge")
    twin, near = result["lead"]["twin"], result["lead"]["near"]
    assert twin["srcc"] == 0 and twin["interval"] == (0, 0) and twin["mean_type_interval"] == (0, 0)
    # Two like methods differ by far less than either is uncertain.
    whole = result["overall"]["judge"]["high"] - result["overall"]["judge"]["low"]
    assert near["interval"][1] - near["interval"][0] < 0.25 * whole
    assert near["interval"][0] <= near["srcc"] <= near["interval"][1]
    again = agreement(rated, {"judge": answer, "twin": answer.copy(), "near": nearly}, bootstrap=300, compare="judge")
    assert again["lead"] == result["lead"]


def test_answers_that_are_missing_are_left_out_and_named(rng: np.random.Generator) -> None:
    rated, answer = sample(rng)
    answer[::6] = np.nan  # within the blurred ones only
    result = agreement(rated, {"m": answer}, bootstrap=30)
    row, usable = result["overall"]["m"], np.isfinite(answer)
    assert row["pictures"] == 100 and "100 of 120" in row["note"]
    assert row["srcc"] == pytest.approx(spearmanr(answer[usable], rated.mos[usable]).statistic)
    assert np.isnan(result["types"]["blur"]["m"]["srcc"]) and np.isfinite(result["types"]["jpeg"]["m"]["srcc"])
    compared = agreement(rated, {"judge": rated.mos, "m": answer}, bootstrap=10, compare="judge")["lead"]["m"]
    assert np.isnan([compared["srcc"], *compared["interval"], compared["mean_type_srcc"]]).all()
    nothing = agreement(rated, {"m": np.full(120, np.nan)}, bootstrap=5)["overall"]["m"]
    assert nothing["pictures"] == 0 and all(np.isnan(nothing[key]) for key in ("srcc", "krcc", "plcc", "rmse", "low"))
