"""What a trial's state is called, and how it stands with its constraints: for the live view, events and the report."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

from tuner.study import INTERRUPTED


def state_word(trial: FrozenTrial) -> str:
    """``complete``, ``infeasible`` (a constraint is broken), ``failed``, ``pruned``, ``interrupted``, ``running`` or
    ``waiting``."""
    if trial.state == TrialState.COMPLETE:
        return "complete" if is_feasible(trial) else "infeasible"
    if trial.state == TrialState.FAIL:
        return "interrupted" if trial.user_attrs.get("reason") == INTERRUPTED else "failed"
    return trial.state.name.lower()


def is_feasible(trial: FrozenTrial) -> bool:
    """True where no constraint is broken, and where there is none."""
    if trial.constraints:
        return all(violation <= 0 for violation in trial.constraints.values())
    return bool(trial.user_attrs.get("feasible", True))


def standing(violation: float) -> str:
    """A constraint's state in words, from its violation as a share of the limit.

    Examples:
        >>> standing(-0.1), standing(0.0), standing(0.25), standing(0.0004)
        ('kept', 'kept', 'broken by 25 %', 'broken by 0.04 %')
    """
    return "kept" if violation <= 0 else f"broken by {100 * violation:.2g} %"
