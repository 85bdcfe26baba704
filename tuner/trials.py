"""Reading a trial: its value, whether it is the best, and it as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState


def best_trial(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The best completed trial: feasible before infeasible, infeasible by least violation, then by value, then age."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return max(complete, key=_rank, default=None)


def succession(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that were the best when they were recorded, in order: the last is the best."""
    bests: list[FrozenTrial] = []
    for trial in trials:
        if trial.state == TrialState.COMPLETE and (not bests or _rank(trial) > _rank(bests[-1])):
            bests.append(trial)
    return bests


def _rank(trial: FrozenTrial) -> tuple[float, float]:
    value = value_of(trial)
    assert value is not None  # a completed trial has one
    return -total_violation(trial.constraints), value


def total_violation(constraints: Mapping[str, float]) -> float:
    """By how much limits are broken, as shares of them added up; 0 where all are kept."""
    return sum(max(0.0, violation) for violation in constraints.values())


def value_of(trial: FrozenTrial) -> float | None:
    """The objective's value, the first of a trial's values; None where it was not evaluated."""
    return trial.values[0] if trial.state == TrialState.COMPLETE and trial.values else None


def pictures_of(trial: FrozenTrial) -> tuple[int, int]:
    """How many pictures a trial was evaluated on, and how many it would have been without stopping early."""
    seen = len(trial.user_attrs.get("pictures", ()))
    return seen, trial.user_attrs.get("pruned", {}).get("of", seen)


def directions(recipe: Mapping[str, Any]) -> list[str]:
    """What Optuna is told of a resolved recipe: the value is maximised, the Pareto measures have goals of their own."""
    return ["maximize", *(term["goal"] for term in recipe.get("objective", {}).get("pareto", ()))]


def trial_record(trial: FrozenTrial, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """A trial as plain data, as ``result.json`` keeps it; ``fixed`` joins the searched parameters."""
    attributes = {key: value for key, value in trial.user_attrs.items() if key != "optimizer"}
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": value_of(trial),
        "parameters": {**fixed, **trial.params},
        "constraints": dict(trial.constraints),
        **attributes,
    }
