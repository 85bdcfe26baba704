"""Pruned trials for samplers: to them, a trial that was stopped early is one of the value it was expected to have.

Optuna's samplers know little of PRUNED trials: GP, NSGA-II and CMA-ES leave them out, so that a GP proposes what was
stopped again and again, and TPE sorts them by the last step alone.
"""

from __future__ import annotations

import copy
from collections.abc import Container
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState


class PrunedAsComplete(BaseSampler):  # type: ignore[misc]  # Optuna is read as untyped
    """Asks ``sampler``, and shows it pruned trials as complete ones of their predicted value.

    Args:
        sampler: what proposes.
        shown: the trials already made over, by number; shared by the samplers of a search, so that each is made once.
    """

    def __init__(self, sampler: BaseSampler, shown: dict[int, FrozenTrial]) -> None:
        self._sampler = sampler
        self._shown = shown

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The sampler's own."""
        return self._sampler.infer_relative_search_space(self._view(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The sampler's own."""
        return self._sampler.sample_relative(self._view(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The sampler's own."""
        return self._sampler.sample_independent(self._view(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """The sampler's own."""
        self._sampler.before_trial(self._view(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """The sampler's own."""
        self._sampler.after_trial(self._view(study), trial, state, values)

    def reseed_rng(self) -> None:
        """The sampler's own."""
        self._sampler.reseed_rng()

    def _view(self, study: Study) -> Study:
        view = _View.__new__(_View)
        view.__dict__.update(study.__dict__, _shown=self._shown)
        return view


class _View(Study):  # type: ignore[misc]  # Optuna is read as untyped
    """A study whose pruned trials look complete. Only what samplers read differs."""

    _shown: dict[int, FrozenTrial]

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = [self._made_over(trial) for trial in super()._get_trials(False, None, use_cache)]
        chosen = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def _made_over(self, trial: FrozenTrial) -> FrozenTrial:
        if trial.state != TrialState.PRUNED or not trial.values:
            return trial
        if trial.number not in self._shown:
            shown = self._shown[trial.number] = copy.copy(trial)
            shown.state = TrialState.COMPLETE
        return self._shown[trial.number]
