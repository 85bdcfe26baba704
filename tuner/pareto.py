"""The Pareto front of a study with several objectives: which trials are on it, how much it covers, how it is written.

The *hypervolume* is the volume of what the front dominates, up to a reference point (E. Zitzler and L. Thiele,
*Multiobjective Optimization Using Evolutionary Algorithms*, PPSN 1998). The reference point here is the worst value of
each objective among all complete trials, so that nothing has to be chosen and every trial of a run lies within it; two
runs are comparable only at one reference point of both. ``share`` is the hypervolume as a share of the box between that
point and the best value of each objective: 1 where one trial is best in everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna._hypervolume import compute_hypervolume  # the visualisation's own; no public name for it
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


def hypervolume_record(
    trials: Sequence[FrozenTrial],
    directions: Sequence[StudyDirection],
    reference: Sequence[float] | None = None,
    history: bool = False,
) -> dict[str, Any] | None:
    """How much the front of ``trials`` covers, by the module's definition.

    Args:
        trials: in order; those that failed are passed over, those that break a constraint count for the reference
            point alone.
        directions: of the study's objectives.
        reference: another reference point, in the objectives' own units; what does not reach it covers nothing.
        history: say it for every trial, too.

    Returns:
        ``reference``, ``hypervolume`` and ``share``; with ``history`` the share after each trial, aligned with
        ``trials``. None while no trial is complete.
    """
    sign = np.array([-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in directions])
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        return None
    losses = sign * np.array([trial.values for trial in complete])
    worst = losses.max(axis=0) if reference is None else sign * np.array(reference, dtype=float)
    box = float(np.prod(np.maximum(worst - losses.min(axis=0), 0.0)))

    def covered(front: Sequence[FrozenTrial]) -> float:
        points = sign * np.array([trial.values for trial in front]).reshape(-1, len(sign))
        return float(compute_hypervolume(points[(points <= worst).all(axis=1)], worst))

    front: list[FrozenTrial] = []
    shares: list[float] = []
    for trial in trials:
        front = joined_front(front, trial, directions)
        if history:
            joined = bool(front) and front[-1] is trial
            shares.append(covered(front) / box if box and joined else shares[-1] if shares else 0.0)
    volume = covered(front)
    record: dict[str, Any] = {
        "reference": (sign * worst).tolist(),
        "hypervolume": volume,
        "share": volume / box if box else 0.0,
    }
    return {**record, "history": shares} if history else record


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
