"""The Pareto front of a study with several objectives: which trials are on it, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.recipe_objective import ParetoTerm


def joined_front(
    front: Sequence[FrozenTrial], trial: FrozenTrial, directions: Sequence[StudyDirection]
) -> list[FrozenTrial]:
    """The front after one more trial: without it where it is dominated, without those that it dominates.

    The same as Optuna's ``study.best_trials`` after every trial, at a cost that grows with the front instead of the
    study. A trial that failed or breaks a constraint is never on it; of equal trials all are.

    Args:
        front: the front so far.
        trial: a finished trial.
        directions: of the study's objectives.
    """
    if trial.state != TrialState.COMPLETE or any(violation > 0 for violation in trial.constraints.values()):
        return list(front)
    losses = _losses(trial, directions)
    kept = []
    for other in front:
        theirs = _losses(other, directions)
        if theirs != losses and all(a <= b for a, b in zip(theirs, losses, strict=True)):
            return list(front)  # dominated, so that it dominates none itself
        if theirs == losses or any(a < b for a, b in zip(theirs, losses, strict=True)):
            kept.append(other)
    return [*kept, trial]


def front_record(front: Sequence[FrozenTrial], terms: Sequence[ParetoTerm], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """What ``pareto.json`` holds.

    Args:
        front: the trials on the front.
        terms: the recipe's Pareto measures.
        fixed: parameters that were not searched; they join those of every trial.

    Returns:
        ``objectives``, each with name and goal, and ``front``: number, parameters, value and measures of each trial,
        the best value first.
    """
    objectives = [{"name": "value", "goal": "maximize"}]
    objectives += [{"name": term.measure, "goal": term.goal} for term in terms]
    rows = [
        {
            "number": trial.number,
            "parameters": {**fixed, **trial.params},
            "value": trial.values[0],
            "measures": dict(trial.user_attrs.get("measures", {})),
        }
        for trial in sorted(front, key=lambda trial: (-trial.values[0], trial.number))
    ]
    return {"objectives": objectives, "front": rows}


def _losses(trial: FrozenTrial, directions: Sequence[StudyDirection]) -> list[float]:
    return [
        -value if direction == StudyDirection.MAXIMIZE else value
        for value, direction in zip(trial.values, directions, strict=True)
    ]
