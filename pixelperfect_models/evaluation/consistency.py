"""Does a pairwise judge contradict itself, and does its order agree with another one? Tables in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr


def cyclic_triples(scores: np.ndarray) -> tuple[int, int]:
    """Cyclic triples in a table of pair scores, and triples in all.

    A triple is cyclic where a beats b, b beats c and c beats a; a tie (score 0) is no win, so it breaks a cycle. Each
    cycle is three closed walks of length three: trace(W^3) / 3 for the matrix W of wins (M. G. Kendall and
    B. Babington Smith, *On the method of paired comparisons*, Biometrika 31, 1940).

    Args:
        scores: ``S(i, j)``, (n, n), positive where i beats j; antisymmetric.

    Returns:
        (cyclic triples, n (n - 1) (n - 2) / 6).

    Raises:
        ValueError: not a square antisymmetric table.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or not np.allclose(scores, -scores.T):
        raise ValueError(f"scores must be an (n, n) antisymmetric table, got shape {scores.shape}")
    wins = (scores > 0).astype(np.int64)
    count = len(scores)
    return int(np.trace(wins @ wins @ wins)) // 3, count * (count - 1) * (count - 2) // 6


def cyclic_share(tables: Sequence[np.ndarray]) -> float:
    """Share of cyclic triples among all triples of several tables, 0 to 1; NaN where no table has three rows."""
    counts = np.array([cyclic_triples(table) for table in tables]).reshape(-1, 2).sum(0)
    return float(counts[0] / counts[1]) if counts[1] else float("nan")


def order_agreement(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman correlation of two sets of values of the same pictures; 0 where one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def pair_agreement(scores: np.ndarray, values: Sequence[float]) -> float:
    """Share of pairs that a table of pair scores (n, n) orders as ``values`` (higher is better) do.

    Pairs with equal values are left out; NaN where there is no other.
    """
    first, second = np.triu_indices(len(scores), 1)
    truth = np.sign(np.asarray(values)[first] - np.asarray(values)[second])
    told = np.sign(scores[first, second])
    known = truth != 0
    return float((told[known] == truth[known]).mean()) if known.any() else float("nan")
