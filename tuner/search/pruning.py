"""Early stopping of hopeless trials: pictures are evaluated one after another, until the best is out of reach.

What decides are the differences ``d`` between a trial's values and the best trial's on the same pictures. Two rules:

- ``gaussian``: how pictures go together is learned from the complete trials: the correlations of their differences from
  the best, each trial scaled to the same size, shrunk towards an equal correlation of 0.3. Given the differences on the
  pictures seen, those on the rest have a Student distribution, since the trial's own scale is estimated from what was
  seen; the trial stops where the mean over all pictures is above 0 with a probability below the level.
- ``wilcoxon``: Wilcoxon's signed-rank test of the differences seen, as Optuna's ``WilcoxonPruner`` does it. Optuna's
  own wants every picture of every trial reported to the study, one write each, and keeps a pruned trial's last picture
  for its value; this one takes what the trials hold already and predicts the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from pixelperfect_models.errors import UserError
from tuner.evaluation import PictureValue
from tuner.objective import Objective
from tuner.recipe_search import PruneSpec
from tuner.study import RunStudy, pictures_of

_PRIOR_CORRELATION = 0.3
_PRIOR_TRIALS = 6.0
"""How many trials the prior correlation weighs as much as; both chosen on recorded searches (docs/pruning.md)."""
_HISTORY = 200
"""Only so many of the last complete trials are looked at, so that a trial costs the same however long the study."""


class PictureRace:
    """One trial against the best: in which order its pictures are evaluated, and when it is hopeless.

    Args:
        spec: the recipe's ``search.prune``.
        best: the best trial's value on each picture, (N,).
        history: differences of earlier complete trials from the best on each picture, (T, N).
        seed: of the order.

    Attributes:
        order: the pictures' indices, shuffled.
        predicted: the trial's mean value over all pictures as it was expected when :meth:`hopeless` was last asked.
    """

    def __init__(
        self,
        spec: PruneSpec,
        best: np.ndarray,
        history: np.ndarray,
        seed: np.random.SeedSequence,
    ) -> None:
        self.order: list[int] = np.random.default_rng(seed).permutation(len(best)).tolist()
        self.predicted = float("nan")
        self._spec = spec
        self._best = best
        self._covariance = _shrunk_covariance(history) if spec.rule == "gaussian" else None

    def hopeless(self, seen: Mapping[int, PictureValue]) -> bool:
        """Whether the best is out of reach, given the pictures seen so far, by index."""
        index = list(seen)
        difference = np.array([picture.value for picture in seen.values()]) - self._best[index]
        if self._covariance is None:
            mean, chance = float(difference.mean()), signed_rank_chance(difference)
        else:
            mean, chance = predicted_mean(difference, index, self._covariance)
        self.predicted = float(self._best.mean()) + mean
        # A mean above the best's is never given up, however sure a test is of the signs.
        return bool(mean < 0.0 and difference.mean() < 0.0 and chance < self._spec.level)


def predicted_mean(difference: np.ndarray, index: Sequence[int], covariance: np.ndarray) -> tuple[float, float]:
    """The mean over all pictures given some of them, and the chance that it is above 0.

    The vector of differences is taken for Gaussian with mean 0 and covariance ``s^2 C`` with unknown ``s``: given the n
    values seen the rest is Student-distributed with n degrees of freedom (multivariate t; S. Kotz and S. Nadarajah,
    *Multivariate t Distributions and Their Applications*, 2004, section 1.11).

    Args:
        difference: on the pictures seen, (n,).
        index: which pictures these are.
        covariance: C, (N, N), positive definite.

    Returns:
        The expected mean over the N pictures, and P(mean > 0).
    """
    share = np.full(len(covariance), 1.0 / len(covariance))
    among = covariance[np.ix_(index, index)]
    weights = np.linalg.solve(among, covariance[index] @ share)
    mean = float(weights @ difference)
    left = max(float(share @ covariance @ share - weights @ covariance[index] @ share), 0.0)
    scale = float(difference @ np.linalg.solve(among, difference)) / len(index)
    spread = np.sqrt(left * scale)
    if spread == 0.0:
        return mean, float(mean > 0.0)
    return mean, float(stats.t.sf(-mean / spread, df=len(index)))


def signed_rank_chance(difference: np.ndarray) -> float:
    """The p-value of Wilcoxon's signed-rank test for differences below 0 (F. Wilcoxon, Biometrics Bulletin 1, 1945)."""
    if len(difference) < 2 or not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference, alternative="less", zero_method="zsplit").pvalue)


def _shrunk_covariance(history: np.ndarray) -> np.ndarray:
    """Second moments of the rows of ``history`` (T, N), each scaled to a mean square of 1, shrunk: (N, N)."""
    count = history.shape[1]
    total = _PRIOR_TRIALS * ((1.0 - _PRIOR_CORRELATION) * np.eye(count) + _PRIOR_CORRELATION)
    size = np.sqrt(np.square(history).mean(axis=1, keepdims=True))
    rows = (history / np.where(size > 0.0, size, 1.0))[size[:, 0] > 0.0]
    return np.asarray((total + rows.T @ rows) / (_PRIOR_TRIALS + len(rows)))


def race(objective: Objective, study: RunStudy, spec: PruneSpec, seed: int, number: int) -> PictureRace | None:
    """The race of trial ``number``; None while there is no feasible best to run against.

    While no trial keeps the constraints, a worse value may still be the first that does: nothing is stopped.
    """
    best = study.best
    if best is None or not best.user_attrs.get("feasible", True):
        return None
    names = [picture.name for picture in objective.pictures]
    complete = [trial for trial in study.counted[-_HISTORY:] if trial.state == TrialState.COMPLETE]
    rows = np.array([_values(trial, names) for trial in complete if trial.number != best.number])
    rows = rows.reshape(-1, len(names))
    target = np.array(_values(best, names))
    return PictureRace(spec, target, rows - target, np.random.SeedSequence([seed, number, len(names)]))


def _values(trial: FrozenTrial, names: Sequence[str]) -> list[float]:
    values = {picture["name"]: picture["value"] for picture in trial.user_attrs["pictures"]}
    return [values[name] for name in names]


def check_pruning(objective: Objective, spec: PruneSpec | None) -> None:
    """Raise UserError where nothing could be stopped early, or where it has no meaning."""
    if spec is None:
        return
    if objective.pareto:
        raise UserError(
            "search.prune: found with objective.pareto, where a trial that is worse in the value may still be on the "
            "front; leave one of the two out"
        )
    # A signed-rank test of n differences has no p-value below 2^-n.
    least = 2 if spec.rule == "gaussian" else 1 + int(np.floor(1.0 - np.log2(spec.level)))
    if len(objective.pictures) < least:
        raise UserError(
            f"search.prune: the recipe has {len(objective.pictures)} picture(s), expected at least {least} to stop "
            f"between them by rule {spec.rule} at level {spec.level:g}"
        )


def pruning_record(trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """What ``result.json`` says of the saving.

    Returns:
        ``pruned`` (trials), ``pictures_seen`` and ``pictures`` (evaluations of one picture, with and without stopping
        early; failed trials are not counted) and ``share``, the first of the two over the second.
    """
    seen, whole = np.sum([pictures_of(trial) for trial in trials] or [(0, 0)], axis=0).tolist()
    return {
        "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
        "pictures_seen": seen,
        "pictures": whole,
        "share": seen / whole if whole else 1.0,
    }
