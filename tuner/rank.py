"""Put several versions of one picture in order, with or without a reference (``tuner rank``).

Without a reference every pair is compared and the scores ``S(a, b)`` are put on one scale by the Bradley-Terry model
(R. A. Bradley and M. E. Terry, *Rank analysis of incomplete block designs*, Biometrika 39, 1952): picture ``i`` has a
strength ``u_i`` and beats ``j`` with probability ``sigmoid((u_i - u_j) / scale)``. (Thurstone's case V is the same with
the normal in place of the logistic distribution.) Each comparison enters as a soft win ``sigmoid(S(i, j) / scale)``,
so that a clear difference counts for more than a slight one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import optimize, special

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image
from tuner.compare import require_same_size
from tuner.objective import Judge

SCALE = 1.0
"""The score difference counted as a 73 % win: the margin that the scoring network's ranking loss asks for."""


@dataclass(frozen=True)
class RankRow:
    """One picture's place.

    Attributes:
        name: the file.
        place: 1 is best.
        strength: in units of the score. With a reference, the score against it. Without, the position on the
            fitted scale, whose mean over the pictures is 0.
        error: standard error of the strength, or None where it is not known (with a reference; or two pictures).
    """

    name: str
    place: int
    strength: float
    error: float | None


@dataclass(frozen=True)
class Ranking:
    """The order, best first.

    Attributes:
        rows: the pictures, best first.
        reference: the reference's name, or None when the pictures were compared with each other.
        pairs: without a reference, (n, n) antisymmetric scores ``S(i, j)`` in the order of ``rows``; otherwise None.
        cycles: triples ``(a, b, c)`` where a beats b, b beats c and c beats a: the judge contradicts itself there.
        consistence: Kendall's coefficient of consistence, 1 without cycles, 0 with as many as there can be.
    """

    rows: tuple[RankRow, ...]
    reference: str | None
    pairs: np.ndarray | None
    cycles: tuple[tuple[str, str, str], ...]
    consistence: float

    @property
    def method(self) -> str:
        """In words, how the order was found."""
        if self.reference is not None:
            return f"score against {self.reference}"
        return "all pairs compared, Bradley-Terry scale"

    def as_dict(self) -> dict[str, Any]:
        """The ranking as plain values, for ``--json``."""
        data: dict[str, Any] = {
            "method": self.method,
            "reference": self.reference,
            "ranking": [
                {
                    "place": row.place,
                    "name": row.name,
                    "strength": round(row.strength, 6),
                    "standard_error": None if row.error is None else round(row.error, 6),
                }
                for row in self.rows
            ],
        }
        if self.pairs is not None:
            data["pair_scores"] = np.round(self.pairs, 6).tolist()
            data["cyclic_triples"] = [list(cycle) for cycle in self.cycles]
            data["consistence"] = round(self.consistence, 6)
        return data


def rank(images: Sequence[str | Path], judge: Judge, ref: str | Path | None = None) -> Ranking:
    """Rank picture files of equal size, best first.

    Args:
        images: at least two versions of one picture (one is enough with a reference).
        judge: the trained judges.
        ref: a reference to score all of them against, or None to compare all pairs.

    Raises:
        ImageFileError: a file is missing, broken or too small.
        UserError: too few pictures, or pictures of different sizes.
    """
    names = [str(path) for path in images]
    if len(names) < (2 if ref is None else 1):
        raise UserError(f"{len(names)} picture given, expected at least 2 to rank without a reference")
    tensors = [read_image(path) for path in images]
    if ref is None:
        require_same_size(dict(zip(names, tensors, strict=True)))
        return rank_pairs(names, pair_scores(tensors, judge))
    reference = read_image(ref)
    require_same_size({str(ref): reference, **dict(zip(names, tensors, strict=True))})
    with torch.no_grad():
        state = judge.prepare(reference)
        scores = np.array([float(judge.judge(tensor, state)[1][0]) for tensor in tensors])
    rows = _rows(names, scores, None)
    return Ranking(rows, str(ref), None, (), 1.0)


def pair_scores(tensors: Sequence[torch.Tensor], judge: Judge) -> np.ndarray:
    """``S(i, j)`` of all pairs of (1, 3, H, W) pictures, (n, n) float64; each pair is asked for once."""
    scores = np.zeros((len(tensors), len(tensors)))
    with torch.no_grad():
        for j in range(1, len(tensors)):
            state = judge.prepare(tensors[j])
            for i in range(j):
                scores[i, j] = float(judge.judge(tensors[i], state)[1][0])
                scores[j, i] = -scores[i, j]
    return scores


def rank_pairs(names: Sequence[str], scores: np.ndarray, scale: float = SCALE) -> Ranking:
    """Rank by a table of pair scores.

    Args:
        names: the n pictures.
        scores: ``S(i, j)``, (n, n) antisymmetric.
        scale: the score difference that counts as a 73 % win, above 0.

    Raises:
        ValueError: ``scores`` is not an (n, n) antisymmetric, finite table.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (len(names), len(names)) or not np.isfinite(scores).all():
        raise ValueError(f"scores must be a finite ({len(names)}, {len(names)}) table, got shape {scores.shape}")
    if not np.allclose(scores, -scores.T):
        raise ValueError("scores must be antisymmetric: S(i, j) = -S(j, i)")
    strengths, errors = fit_bradley_terry(scores, scale)
    rows = _rows(names, strengths, errors)
    order = _order(strengths)
    cycles = cyclic_triples(scores)
    named = tuple((names[a], names[b], names[c]) for a, b, c in cycles)
    return Ranking(rows, None, scores[np.ix_(order, order)], named, consistence(len(names), len(cycles)))


def fit_bradley_terry(scores: np.ndarray, scale: float = SCALE) -> tuple[np.ndarray, np.ndarray | None]:
    """Fit the strengths by maximum likelihood.

    The standard errors are those of a quasi-likelihood (P. McCullagh and J. A. Nelder, *Generalized Linear Models*,
    section 9.2): the Fisher information, with the dispersion estimated from how far the soft wins lie off the fitted
    scale. They are 0 when all pair scores agree with one scale, and say nothing of the judge's agreement with people.

    Args:
        scores: ``S(i, j)``, (n, n) antisymmetric, n >= 2.
        scale: the score difference of a 73 % win.

    Returns:
        The strengths (n,), mean 0, and their standard errors (n,), both in units of the score; None in place of the
        errors for two pictures, where one comparison leaves nothing to estimate them from.
    """
    count = len(scores)
    first, second = np.triu_indices(count, 1)
    wins = special.expit(scores[first, second] / scale)
    design = np.zeros((len(first), count))
    design[np.arange(len(first)), first], design[np.arange(len(first)), second] = 1.0, -1.0
    # The strengths are known up to a constant: fit in a basis of the vectors that sum to 0.
    basis = np.linalg.svd(np.ones((1, count)))[2][1:].T
    design = design @ basis

    start = basis.T @ (scores.mean(axis=1) / scale)  # least squares, exact where the scores fit one scale
    negative, gradient, hessian = _likelihood(design, wins)
    found = optimize.minimize(negative, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    strengths = basis @ found.x

    freedom = len(first) - (count - 1)
    if freedom == 0:
        return strengths * scale, None
    expected = special.expit(design @ found.x)
    variance = np.maximum(expected * (1.0 - expected), 1e-12)  # a certain win has none; keep the division finite
    dispersion = float(np.sum((wins - expected) ** 2 / variance)) / freedom
    covariance = basis @ np.linalg.pinv(hessian(found.x)) @ basis.T
    return strengths * scale, np.sqrt(np.maximum(dispersion * np.diag(covariance), 0.0)) * scale


_Function = Callable[[np.ndarray], Any]


def _likelihood(design: np.ndarray, wins: np.ndarray) -> tuple[_Function, _Function, _Function]:
    """Negative log-likelihood of soft ``wins`` (m,) given ``design`` (m, d), with gradient and Hessian; convex."""

    def negative(u: np.ndarray) -> float:
        logit = design @ u
        return -float(wins @ special.log_expit(logit) + (1.0 - wins) @ special.log_expit(-logit))

    def gradient(u: np.ndarray) -> np.ndarray:
        return -(design.T @ (wins - special.expit(design @ u)))

    def hessian(u: np.ndarray) -> np.ndarray:
        expected = special.expit(design @ u)
        return (design.T * (expected * (1.0 - expected))) @ design

    return negative, gradient, hessian


def cyclic_triples(scores: np.ndarray) -> list[tuple[int, int, int]]:
    """The triples (a, b, c) with ``S(a, b) > 0``, ``S(b, c) > 0`` and ``S(c, a) > 0``, lowest index first."""
    found = []
    for a, b, c in itertools.combinations(range(len(scores)), 3):
        if scores[a, b] > 0 and scores[b, c] > 0 and scores[c, a] > 0:
            found.append((a, b, c))
        elif scores[a, c] > 0 and scores[c, b] > 0 and scores[b, a] > 0:
            found.append((a, c, b))
    return found


def consistence(count: int, cycles: int) -> float:
    """Kendall's coefficient of consistence of a paired comparison of ``count`` items with ``cycles`` cyclic triples.

    1 - cycles / most, where most = (n^3 - n) / 24 for odd n and (n^3 - 4 n) / 24 for even n (M. G. Kendall and
    B. Babington Smith, *On the method of paired comparisons*, Biometrika 31, 1940). 1 for fewer than three items.
    """
    most = (count**3 - (count if count % 2 else 4 * count)) / 24
    return 1.0 if most == 0 else 1.0 - cycles / most


def _order(strengths: np.ndarray) -> np.ndarray:
    return np.argsort(-strengths, kind="stable")


def _rows(names: Sequence[str], strengths: np.ndarray, errors: np.ndarray | None) -> tuple[RankRow, ...]:
    return tuple(
        RankRow(names[i], place, float(strengths[i]), None if errors is None else float(errors[i]))
        for place, i in enumerate(_order(strengths), start=1)
    )
