"""Composite search: Bayesian optimisation that models what the judge says and knows what the objective makes of it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import ThreadpoolController

from pixelperfect_models.errors import UserError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import CompositeSearch
from tuner.search.base import Task
from tuner.search.composite_model import ObjectiveModel
from tuner.search.encoding import Encoding
from tuner.search.gaussian_process import Processes, fit
from tuner.search.sequences import sobol_point
from tuner.study import best_trial, is_counted

_DRAWS = 64
_SIDE, _LARGEST_SIDE, _SMALLEST_SIDE = 0.4, 0.8, 0.01
"""Sides of the trust region: at first, at most, and where it starts anew."""
_PATIENCE = 3
"""Trials without improvement after which the trust region shrinks by half."""
_STANDSTILL, _RESTLESS, _MOST_STRETCH = 0.01, 6, 4.0
"""Gains below this share of all so far are none; trials without one after which deviations count double; at most."""
_IMPROVED = 1e-4
"""What counts as an improvement, as a share of the gain so far."""


class Composite:
    """One Gaussian process for each map statistic, score and measure; expected improvement of the objective of them.

    The defaults first, then a few Sobol points. After that, in turns, the largest expected improvement anywhere and
    within a trust region about the best point, which shrinks while nothing improves.
    """

    shared = True

    def check(self, objective: Objective, space: ParameterSpace, spec: CompositeSearch) -> None:
        """Raise UserError for candidates that are compared with the incumbent."""
        if objective.follows_incumbent:
            raise UserError(
                "search.strategy: composite models what the judge says against one reference and cannot follow "
                "images.reference: incumbent, expected optuna"
            )

    def budget(self, space: ParameterSpace, spec: CompositeSearch) -> int:
        """The recipe's number of trials."""
        return spec.trials

    def run(self, task: Task) -> None:
        """Ask, evaluate and tell until the budget is spent."""
        task.begin()
        while not task.done:
            trial = task.ask(lambda slot: CompositeSampler(task.objective, task.space, task.spec, slot))
            if trial is not None:
                task.evaluate(trial)


class CompositeSampler(BaseSampler):  # type: ignore[misc]  # Optuna is read as untyped
    """Proposes the trial of one slot from what the study holds, and from nothing else.

    All that is random comes from the recipe's seed and the slot, so that a search that was killed goes on as an
    undisturbed one would have. Trials that run elsewhere are taken to have what the processes predict for them.
    """

    def __init__(self, objective: Objective, space: ParameterSpace, spec: CompositeSearch, slot: int) -> None:
        self._objective = objective
        self._space = space
        self._spec = spec
        self._slot = slot
        self._encoding = Encoding(space)
        self._startup = spec.startup or max(4, len(space.dimensions) + 1)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All searched parameters."""
        return self._space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next point."""
        if trial.system_attrs.get("fixed_params"):  # its parameters are known: the defaults, or one cut short
            return {}
        trials = study.get_trials(deepcopy=False)
        finished = [other for other in trials if is_counted(other)]
        running = [
            other
            for other in trials
            if other.state == TrialState.RUNNING and other.number != trial.number and self._whole(other)
        ]
        completed = sum(other.state == TrialState.COMPLETE for other in finished)
        if self._slot < self._startup or completed < 2:
            return self._sobol()
        with _one_thread():
            row = self._proposed(finished, running)
        point = self._encoding.decode(row)
        tried = any(all(other.params.get(name) == value for name, value in point.items()) for other in finished)
        return self._sobol() if tried else point

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Of a queued trial that leaves a parameter open: its default."""
        return self._space.defaults()[param_name]

    def _whole(self, trial: FrozenTrial) -> bool:
        return all(name in trial.params for name in self._space.names)

    def _sobol(self) -> dict[str, Any]:
        return self._space.at(sobol_point(len(self._space.dimensions), self._spec.seed, max(0, self._slot - 1)))

    def _proposed(self, finished: Sequence[FrozenTrial], running: Sequence[FrozenTrial]) -> np.ndarray:
        # BoTorch takes seconds to import, which other strategies need not wait for, and warns of its own use of torch.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            from botorch.utils.sampling import draw_sobol_normal_samples

            from tuner.search.composite_acquisition import Improvement, largest, region_about
        rng = np.random.default_rng(np.random.SeedSequence([self._spec.seed, self._slot]))
        encoding = self._encoding
        model = ObjectiveModel(self._objective, [trial for trial in finished if self._whole(trial)])
        points = encoding.encode([trial.params for trial in model.completed])
        table = model.observed()
        processes = fit(points, table, encoding.owners)
        if model.may_square:
            processes = self._better_scale(model, points, table, processes)
        failing = self._failing(model, points)
        tried = torch.from_numpy(points)
        if running:
            pending = torch.from_numpy(encoding.encode([trial.params for trial in running]))
            processes, tried = processes.believing(pending), torch.cat([tried, pending])
        outputs = torch.from_numpy(table)
        scalar = model.scalar(outputs, rng)
        # Measured from what the model makes of the observations, so that both sides of the comparison are alike.
        values = scalar(outputs).numpy()
        kept = (model.violations(outputs) <= 0).all(-1).numpy()
        best = float(values[kept].max()) if kept.any() else None
        draws = draw_sobol_normal_samples(
            len(model.outputs), _DRAWS, dtype=torch.float64, seed=int(rng.integers(2**31))
        )
        shape, noise = _shape(processes, model, outputs)
        # What lies nearer to a trial than the noise reaches would tell nothing new: pipelines repeat themselves.
        radius = shape * max(noise**0.5, 1e-3)
        local = self._slot % 2 == 1
        acquisition = Improvement(
            processes,
            scalar,
            model.violations,
            best,
            float(values.std()) or 1.0,
            draws,
            tried,
            torch.from_numpy(radius),
            failing,
            1.0 if local else _stretch(finished),
        )
        violation = model.violations(outputs).clamp(min=0.0).sum(-1).numpy()
        order = np.lexsort((-values, violation))  # feasible ones first, then the best
        region = None
        if local:
            region = region_about(points[order[0]], encoding, _side(finished, self._startup), shape)
        return largest(acquisition, encoding, points[order[:3]], rng, region)

    def _better_scale(
        self, model: ObjectiveModel, points: np.ndarray, table: np.ndarray, processes: Processes
    ) -> Processes:
        """Model the score by its square where that is the likelier smooth function; changes ``model`` and ``table``."""
        score = table[:, 0]
        alone = fit(points, np.square(score)[:, None], self._encoding.owners)
        # Both as densities of the score itself: standardised outputs, and what a square makes of a small interval.
        plain = float(processes.losses[0]) + len(score) * math.log(float(processes.deviations[0]))
        square = float(alone.losses[0]) + len(score) * math.log(float(alone.deviations[0]))
        square -= float(np.log(2.0 * np.abs(score)).sum())
        if square >= plain:
            return processes
        model.squared = True
        table[:, 0] = np.square(score)
        return processes.with_column(0, alone)

    def _failing(self, model: ObjectiveModel, points: np.ndarray) -> Processes | None:
        failures = [trial for trial in model.failures if self._whole(trial)]
        if not failures:
            return None
        where = np.concatenate([points, self._encoding.encode([trial.params for trial in failures])])
        failed = np.concatenate([np.zeros(len(points)), np.ones(len(failures))])
        return fit(where, failed[:, None], self._encoding.owners)


def _shape(processes: Processes, model: ObjectiveModel, outputs: torch.Tensor) -> tuple[np.ndarray, float]:
    """(E,) lengthscales and the noise's share of the objective: of the outputs, each by how much it moves it."""
    base = outputs.mean(0)
    moved = base + torch.diag(outputs.std(0))
    share = (model.value(moved) - model.value(base)).abs().clamp(min=1e-9)
    share = share / share.sum()
    lengths = (share[:, None] / processes.lengths.square()).sum(0).rsqrt().clamp(0.05, 5.0)
    return lengths.numpy(), float((share * processes.noises / processes.scales).sum())


def _side(finished: Sequence[FrozenTrial], startup: int) -> float:
    """Side of the trust region after these trials: grown by improvements, halved while there are none."""
    side, waited = _SIDE, 0
    best: FrozenTrial | None = None
    first: float | None = None
    for index, trial in enumerate(finished):
        before = best
        best = best_trial([other for other in (before, trial) if other is not None])
        if best is None:
            continue
        first = best.values[0] if first is None else first
        if index < startup:
            continue
        gained = before is None or (
            best is trial and trial.values[0] - before.values[0] > _IMPROVED * abs(before.values[0] - first)
        )
        waited = 0 if gained else waited + 1
        if gained:
            side = min(_LARGEST_SIDE, 1.5 * side)
        elif waited == _PATIENCE:
            side, waited = side / 2, 0
            if side < _SMALLEST_SIDE:
                side = _SIDE
    return side


def _stretch(finished: Sequence[FrozenTrial]) -> float:
    """By how much the processes' deviations are stretched where the whole space is searched: 1 while there is progress.

    A search that stands still may stand on the second best hill, of whose surroundings the processes are too sure.
    """
    values = [trial.values[0] for trial in finished if trial.state == TrialState.COMPLETE and trial.values]
    reached = np.maximum.accumulate(values)
    near = reached[-1] - _STANDSTILL * (reached[-1] - reached[0])
    waited = len(values) - 1 - int(np.argmax(reached >= near))
    return min(_MOST_STRETCH, 1.0 + waited / _RESTLESS)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Many small matrices: on busy cores a second thread makes them several times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)
