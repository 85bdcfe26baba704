"""How well answers agree with ratings: SRCC, KRCC, PLCC and RMSE, by type and by content, with intervals.

As VQEG's reports and Sheikh, Sabir, Bovik (A statistical evaluation of recent full reference image quality
assessment algorithms, IEEE TIP 15(11), 2006) do it. Answers and ratings are higher for better pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kendalltau, rankdata

from pixelperfect_models.evaluation.logistic import Fit, fit_logistic

LEAST = 3
"""A correlation of fewer pictures than this says nothing: it is given as NaN."""

CHUNK = 4_000_000
"""How many resampled numbers are held at once."""


@dataclass(frozen=True)
class Rated:
    """n rated pictures: ``mos`` (n,), higher is better, with the type and the content of each."""

    mos: np.ndarray
    types: Sequence[str]
    contents: Sequence[str]

    def groups(self, by: str) -> dict[str, np.ndarray]:
        """By ``"types"`` or ``"contents"``: each name with the places (indices) of its pictures."""
        names = np.array(self.types if by == "types" else self.contents)
        return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's correlation along the last axis; NaN where one side is constant or has fewer than three values."""
    if a.shape[-1] < LEAST:
        return np.full(np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), np.nan)
    a = a - a.mean(-1, keepdims=True)
    b = b - b.mean(-1, keepdims=True)
    scale = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.where(scale > 0, (a * b).sum(-1) / scale, np.nan)
    return found


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation (SRCC) along the last axis, ties given their mean rank."""
    return pearson(rankdata(a, axis=-1), rankdata(b, axis=-1))


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's rank correlation (KRCC), tau-b, of two vectors."""
    return float(kendalltau(a, b, method="asymptotic").statistic) if len(a) >= LEAST else float("nan")


def agreement(
    rated: Rated,
    answers: Mapping[str, np.ndarray],
    parameters: int = 4,
    bootstrap: int = 1000,
    seed: int = 0,
    compare: str | None = None,
) -> dict[str, Any]:
    """Every method's agreement with the ratings.

    Args:
        rated: n rated pictures.
        answers: method -> (n,) numbers, higher for better pictures. A method with numbers that are not finite
            (it cannot take some pictures) is measured on those that are, and says so.
        parameters: 4 or 5, of the logistic function in front of PLCC and RMSE.
        bootstrap: how many times the pictures are drawn anew for the 95 % intervals; 0 for none.
        seed: of those draws.
        compare: a method; each other method's ``lead`` is how far ``compare`` is ahead of it.

    Returns:
        ``{"overall": {method: row}, "types": {type: {method: {"srcc", "interval"}}}, "contents": {the same},
        "lead": {method: {"srcc", "interval", "mean_type_srcc", "mean_type_interval"}}}``. A row holds ``srcc``,
        ``low`` and ``high`` (its interval), ``krcc``, ``plcc``, ``rmse``, ``plcc_linear`` (no function fitted),
        ``mean_type_srcc``, ``mean_content_srcc``, ``intervals`` of these, ``pictures`` (how many were measured),
        ``fit`` (which function of :mod:`.logistic`, its coefficients, and the center and scale the answers
        are standardised by) and ``note``.

    The intervals are percentiles (2.5, 97.5) over draws with replacement: of all pictures for the overall figures,
    of the pictures within each type or content for those. All methods see the same draws. The fitted function of
    PLCC and RMSE stays that of all pictures.
    """
    rng = np.random.default_rng(seed)
    count = len(rated.mos)
    draws = rng.integers(count, size=(bootstrap, count))
    overall: dict[str, dict[str, Any]] = {}
    drawn: dict[str, np.ndarray] = {}
    for name, answer in answers.items():
        overall[name], drawn[name] = _overall(rated.mos, answer, parameters, draws)
    result: dict[str, Any] = {"overall": overall, "types": {}, "contents": {}, "lead": {}}
    means: dict[str, dict[str, np.ndarray]] = {}
    for by, key in (("types", "mean_type_srcc"), ("contents", "mean_content_srcc")):
        table, means[by] = _by_group(rated, answers, by, bootstrap, rng)
        result[by] = table
        for name, row in overall.items():
            values = [group[name]["srcc"] for group in table.values()]
            row[key] = _mean(values)
            row["intervals"][key] = _interval(means[by][name])
    if compare is not None:
        for name in answers:
            if name != compare:
                # Only what was measured on the same pictures is compared: NaN else.
                same = 0.0 if overall[compare]["pictures"] == overall[name]["pictures"] == count else np.nan
                result["lead"][name] = {
                    "srcc": overall[compare]["srcc"] - overall[name]["srcc"] + same,
                    "interval": _interval(drawn[compare] - drawn[name]),
                    "mean_type_srcc": overall[compare]["mean_type_srcc"] - overall[name]["mean_type_srcc"] + same,
                    "mean_type_interval": _interval(means["types"][compare] - means["types"][name] + same),
                }
    return result


def _overall(
    mos: np.ndarray, answer: np.ndarray, parameters: int, draws: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """A method's row, and its SRCC in every draw: NaN where it has not measured every picture."""
    usable = np.isfinite(answer)
    count = int(usable.sum())
    if count < len(mos):
        # A draw of all pictures has no meaning here: the pictures that are left are drawn anew.
        draws = np.random.default_rng(0).integers(max(count, 1), size=(len(draws), count))
    mos, answer = mos[usable], answer[usable]
    fit = fit_logistic(answer, mos, parameters)
    fitted = fit(answer)
    srcc: list[np.ndarray] = []
    plcc: list[np.ndarray] = []
    rmse: list[np.ndarray] = []
    krcc: list[float] = []
    for part in _parts(draws):
        srcc.append(spearman(answer[part], mos[part]))
        plcc.append(pearson(fitted[part], mos[part]))
        rmse.append(np.sqrt(np.square(fitted[part] - mos[part]).mean(1)) if count else np.zeros(0))
        krcc.extend(kendall(answer[one], mos[one]) for one in part)
    intervals = {
        "srcc": _interval(np.concatenate([*srcc, np.zeros(0)])),
        "krcc": _interval(np.array(krcc)),
        "plcc": _interval(np.concatenate([*plcc, np.zeros(0)])),
        "rmse": _interval(np.concatenate([*rmse, np.zeros(0)])),
    }
    ranked = np.concatenate([*srcc, np.zeros(0)])
    row = {
        "srcc": float(spearman(answer, mos)),
        "low": intervals["srcc"][0],
        "high": intervals["srcc"][1],
        "krcc": kendall(answer, mos),
        "plcc": float(pearson(fitted, mos)),
        "rmse": float(np.sqrt(np.square(fitted - mos).mean())) if count else float("nan"),
        "plcc_linear": float(pearson(answer, mos)),
        "intervals": intervals,
        "pictures": count,
        "fit": _described(fit),
        "note": "" if usable.all() else f"measured on {count} of {len(usable)} pictures: no number for the others",
    }
    return row, ranked if usable.all() else np.full(len(draws), np.nan)


def _by_group(
    rated: Rated, answers: Mapping[str, np.ndarray], by: str, bootstrap: int, rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The SRCC of every method within every group, and each method's mean over the groups in every draw."""
    table: dict[str, Any] = {}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in answers}
    for group, places in rated.groups(by).items():
        draws = places[rng.integers(len(places), size=(bootstrap, len(places)))]
        table[group] = {}
        for name, answer in answers.items():
            values = _ranked_draws(rated.mos, answer, draws)
            drawn[name].append(values)
            srcc = float(spearman(answer[places], rated.mos[places])) if np.isfinite(answer[places]).all() else np.nan
            table[group][name] = {"srcc": srcc, "interval": _interval(values)}
    return table, {
        name: np.array([_mean(column) for column in zip(*rows, strict=True)]) for name, rows in drawn.items()
    }


def _ranked_draws(mos: np.ndarray, answer: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """SRCC in each draw; NaN where the answers are not finite."""
    if not np.isfinite(answer[draws[:1]]).all() or not np.isfinite(answer[np.unique(draws)]).all():
        return np.full(len(draws), np.nan)
    return np.concatenate([*(spearman(answer[part], mos[part]) for part in _parts(draws)), np.zeros(0)])


def _parts(draws: np.ndarray) -> list[np.ndarray]:
    rows = max(1, CHUNK // max(1, draws.shape[1]))
    return [draws[start : start + rows] for start in range(0, len(draws), rows)]


def _mean(values: Sequence[float]) -> float:
    """The mean of what is finite; NaN where nothing is. A draw of few pictures can be all one picture: no rank."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _interval(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def _described(fit: Fit) -> dict[str, Any]:
    return {
        "function": fit.name,
        "coefficients": list(fit.coefficients),
        "center": fit.center,
        "scale": fit.scale,
    }
