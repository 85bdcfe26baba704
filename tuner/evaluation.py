"""What a set of parameters is worth, and what that is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pixelperfect_models.errors import PixelPerfectError
from tuner.trials import total_violation


class EvaluationError(PixelPerfectError):
    """This set of parameters could not be evaluated; the search goes on without it."""


@dataclass(frozen=True)
class PictureValue:
    """What one picture contributes: ``value`` in objective units, ``score`` as the judge gave it.

    ``amounts``: ``type/statistic/region`` of each penalty to its statistic, before tolerance and weight, in intensity
    units [0, 1]. A search that models them knows the penalty's shape instead of learning it. ``signed``: the same
    names to the same statistic of the signed excess, [-1, 1], which goes on smoothly where less of the artefact is
    there than in the reference (for the signed channels: their mean, which tells too dark from too bright).
    """

    name: str
    value: float
    score: float
    amounts: dict[str, float] = field(default_factory=dict)
    signed: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What a set of parameters is worth. All numbers are means over the pictures unless said otherwise.

    Attributes:
        value: the objective, larger is better.
        score: the judge's relational score, before its weight.
        penalties: ``type/statistic/region`` to what it costs, weight included, >= 0; below 0 where there is less of the
            artefact than in the incumbent.
        costs: measure to what it costs, weight included.
        statistics: channel to signed ``mean`` and to ``p95`` and ``max`` of the excess, in intensity units.
        measures: what the pipeline reports; ``seconds`` is its time for a picture.
        constraints: name to violation as a share of the limit; <= 0 is met.
        pareto: the measures that are objectives of their own, in the recipe's order; empty without any.
        seconds: wall time of the whole evaluation.
        pictures: each picture's part.
        offset: what the anchors add to score, penalties and costs (:mod:`tuner.incumbent`); 0 with fixed references.
        outputs: the pipeline's pictures, kept only when comparing with the incumbent.
        worth: of each picture u(c) of :mod:`tuner.incumbent`; empty with fixed references.
        left_out: how many pictures were not looked at, since the trial was hopeless; 0 for a whole evaluation.
    """

    value: float
    score: float
    penalties: dict[str, float]
    statistics: dict[str, dict[str, float]]
    measures: dict[str, float]
    constraints: dict[str, float]
    seconds: float
    pictures: tuple[PictureValue, ...]
    offset: float = 0.0
    outputs: tuple[torch.Tensor, ...] = field(default=(), repr=False, compare=False)
    costs: dict[str, float] = field(default_factory=dict)
    pareto: tuple[float, ...] = ()
    left_out: int = 0
    worth: tuple[float, ...] = ()

    @property
    def values(self) -> list[float]:
        """What a study keeps as the trial's objectives: the value, then the Pareto measures."""
        return [self.value, *self.pareto]

    @property
    def violation(self) -> float:
        """By how much limits are broken, as shares of them added up; 0 where all are kept."""
        return total_violation(self.constraints)

    @property
    def standing(self) -> tuple[float, float]:
        """What orders candidates: what keeps the limits better comes first, then the larger value."""
        return -self.violation, self.value

    def attributes(self) -> dict[str, Any]:
        """What a trial keeps of it, ready for JSON."""
        kept: dict[str, Any] = {
            "score": self.score,
            "penalties": self.penalties,
            "statistics": self.statistics,
            "measures": self.measures,
            "seconds": self.seconds,
            "pictures": [vars(picture) for picture in self.pictures],
            "feasible": all(violation <= 0 for violation in self.constraints.values()),
        }
        if self.costs:
            kept["costs"] = self.costs
        return {**kept, "offset": self.offset, "worth": list(self.worth)} if self.worth else kept


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every key over the rows that have it."""
    keys = dict.fromkeys(key for row in rows for key in row)
    means = {}
    for key in keys:
        present = [row[key] for row in rows if key in row]
        means[key] = sum(present) / len(present)
    return means
