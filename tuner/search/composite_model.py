"""The objective as a known function of modelled outputs: what composite search learns, and what it need not learn.

An output is a smooth quantity that every trial records. The objective's own form, tolerances, weights, roots and all,
is applied to predictions of the outputs instead of being learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from pixelperfect_models.channels import SIGNED_CHANNELS
from tuner.objective import Objective

_KNEE = 0.1
"""Signed statistics are modelled by asinh(statistic / _KNEE), a logarithm beyond the knee on both sides of 0: small
ones, which decide near the best, get as much room as large ones. A smaller knee makes the way through 0 a step.
"""
_SMALLEST = 1e-3
"""A difference below which two pictures are equal; keeps the root's gradient finite."""
_VALUE_ALONE = 0.25
"""Share of the trials of a Pareto search that improve the value alone."""
_CHEBYSHEV_SUM = 0.05
"""Share of the plain sum in the augmented Chebyshev scalarisation (Knowles 2006)."""


@dataclass(frozen=True)
class _Term:
    """One penalty: cost = weight * (max(0, h(signed) - above) + rest), h the positive part or the absolute value.

    ``signed`` is the mean over the pictures of the penalty's signed statistic, which varies smoothly where the excess
    is cut off at 0 or folded over. ``rest`` is what is left by averaging inside of h and the tolerance; it is exact
    at every trial, small, and 0 for one picture whose excess has one sign everywhere.
    """

    name: str
    weight: float
    above: float
    folded: bool

    @property
    def rest(self) -> str:
        return f"rest {self.name} above {self.above:g}"

    def hinge(self, signed: Any) -> Any:
        """Of an array or tensor of signed statistics."""
        if isinstance(signed, Tensor):
            return ((signed.abs() if self.folded else signed) - self.above).clamp(min=0.0)
        return np.maximum((np.abs(signed) if self.folded else signed) - self.above, 0.0)


class ObjectiveModel:
    """What of an objective is modelled, and the objective made of it.

    Args:
        objective: with references that stay the same in all trials.
        trials: finished trials; completed ones are learned from. Whether a measure is modelled by its logarithm, and
            whether failing is modelled, follows from them.

    Attributes:
        outputs: names of the M modelled outputs.
        completed: the trials that are learned from, in order.
        squared: the output ``score`` is the square of the score.
    """

    def __init__(self, objective: Objective, trials: Sequence[FrozenTrial]) -> None:
        self.completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        self._objective = objective
        self.squared = False
        self._terms = [
            _Term(name, penalty.weight, penalty.above, penalty.type in SIGNED_CHANNELS)
            for penalty, name in zip(objective.penalties, objective.amount_names, strict=True)
            if penalty.weight > 0
        ]
        used = [term.measure for term in objective.costs]
        used += [term.measure for term in objective.constraints]
        used += [term.measure for term in objective.pareto]
        self._measures = list(dict.fromkeys(used))
        outputs: list[str] = ["score"] if objective.score_weight > 0 else []
        for term in self._terms:
            outputs += [term.name, term.rest]
        outputs += self._measures
        self.failures = [trial for trial in trials if trial.state == TrialState.FAIL]
        self.outputs = list(dict.fromkeys(outputs))
        self._place = {name: index for index, name in enumerate(self.outputs)}
        table = np.array([[float(t.user_attrs["measures"][m]) for m in self._measures] for t in self.completed])
        self._log = {m: bool((table[:, index] > 0).all()) for index, m in enumerate(self._measures)}

    @property
    def may_square(self) -> bool:
        """True where the first output is a difference that is never 0: near the reference it is a cone over the
        parameters, and its square a paraboloid, which a process can follow.
        """
        if self._objective.score_weight <= 0 or self._objective.score_kind != "difference":
            return False
        return all(abs(float(trial.user_attrs["score"])) > _SMALLEST for trial in self.completed)

    def observed(self) -> np.ndarray:
        """The outputs of the completed trials, (N, M)."""
        rows = []
        for trial in self.completed:
            attributes = trial.user_attrs
            pictures = attributes["pictures"]
            row: dict[str, float] = {}
            if self._objective.score_weight > 0:
                row["score"] = float(attributes["score"])
            for term in self._terms:
                signed = float(np.mean([picture["signed"][term.name] for picture in pictures]))
                over = np.maximum(np.array([picture["amounts"][term.name] for picture in pictures]) - term.above, 0.0)
                row[term.name] = math.asinh(signed / _KNEE)
                row[term.rest] = float(over.mean() - term.hinge(np.array(signed)))
            for measure in self._measures:
                number = float(attributes["measures"][measure])
                row[measure] = float(np.log(number)) if self._log[measure] else number
            rows.append([row[name] for name in self.outputs])
        return np.array(rows)

    def value(self, outputs: Tensor) -> Tensor:
        """The objective of (..., M) outputs: (...)."""
        total = torch.zeros(outputs.shape[:-1], dtype=outputs.dtype)
        if self._objective.score_weight > 0:
            score = self._of(outputs, "score")
            if self.squared:
                score = -score.clamp(min=_SMALLEST**2).sqrt()
            total = total + self._objective.score_weight * score
        for term in self._terms:
            amount = term.hinge((_KNEE * self._of(outputs, term.name).sinh()).clamp(-1.0, 1.0)) + self._of(
                outputs, term.rest
            )
            total = total - term.weight * amount.clamp(min=0.0)
        for cost in self._objective.costs:
            total = total - cost.weight * self._measure(outputs, cost.measure)
        return total

    def violations(self, outputs: Tensor) -> Tensor:
        """By how much each limit is broken, as a share of it; <= 0 is met. (..., M) to (..., C)."""
        found = []
        for constraint in self._objective.constraints:
            measured = self._measure(outputs, constraint.measure)
            for sign, limit in ((1.0, constraint.at_most), (-1.0, constraint.at_least)):
                if limit is not None:
                    found.append(sign * (measured - limit) / (abs(limit) or 1.0))
        return torch.stack(found, -1) if found else outputs.new_zeros((*outputs.shape[:-1], 0))

    def goals(self, outputs: Tensor) -> Tensor:
        """The value and the Pareto measures, all to be maximised: (..., M) to (..., 1 + P)."""
        goals = [self.value(outputs)]
        for term in self._objective.pareto:
            measured = self._measure(outputs, term.measure)
            goals.append(-measured if term.goal == "minimize" else measured)
        return torch.stack(goals, -1)

    def scalar(self, table: Tensor, rng: np.random.Generator) -> Callable[[Tensor], Tensor]:
        """What is to be improved: the value; with Pareto measures a random mixture of the goals (Knowles 2006, ParEGO),
        now and then the value alone, whose best trial is what a run is known by.

        Args:
            table: observed outputs (N, M), by which the goals are put on one scale.
            rng: draws the weights.
        """
        if not self._objective.pareto or rng.random() < _VALUE_ALONE:
            return self.value
        goals = self.goals(table)
        # Of the front alone: a hopeless point would make all that is worth having look alike.
        better = (goals[None] >= goals[:, None]).all(-1) & (goals[None] > goals[:, None]).any(-1)
        front = goals[~better.any(1)]
        low, high = front.amin(0), front.amax(0)
        span = (high - low).clamp(min=1e-9)
        weights = torch.from_numpy(rng.dirichlet(np.ones(goals.shape[-1])))

        def mixture(outputs: Tensor) -> Tensor:
            shortfall = weights * (high - self.goals(outputs)) / span
            return -(shortfall.amax(-1) + _CHEBYSHEV_SUM * shortfall.sum(-1))

        return mixture

    def _of(self, outputs: Tensor, name: str) -> Tensor:
        return outputs[..., self._place[name]]

    def _measure(self, outputs: Tensor, name: str) -> Tensor:
        return self._of(outputs, name).exp() if self._log[name] else self._of(outputs, name)
