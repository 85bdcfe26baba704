"""Black-box search: an Optuna sampler proposes, the objective is asked, the study remembers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from pixelperfect_models.errors import UserError, suggest
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import OptunaSearch
from tuner.search.base import Task
from tuner.search.sequences import Grid, PointSampler, sobol_point

GRID_POINTS = 5
"""Values of a continuous parameter on a grid, unless the recipe says."""

_LARGEST_GRID = 1_000_000

Make = Callable[[OptunaSearch, ParameterSpace, int, int], BaseSampler]
"""(search section, space, number of the trial from 1, seed of this trial) to the sampler that proposes this trial."""

# A sampler lives for one trial. What it must know of earlier trials it reads from the study, and its random numbers
# come from the recipe's seed and the trial's number. So a killed and resumed search proposes what an undisturbed one
# would have, where one sampler with one seed would begin its random numbers again.
SAMPLERS: dict[str, Make] = {
    "tpe": lambda spec, space, number, seed: TPESampler(seed=seed),
    "gp": lambda spec, space, number, seed: GPSampler(
        seed=seed, deterministic_objective=True, warn_independent_sampling=False
    ),
    "cmaes": lambda spec, space, number, seed: CmaEsSampler(seed=seed, warn_independent_sampling=False),
    # Optuna's population of 50 would be one generation in a usual search.
    "nsga2": lambda spec, space, number, seed: NSGAIISampler(population_size=12, seed=seed),
    "random": lambda spec, space, number, seed: RandomSampler(seed=seed),
    "qmc": lambda spec, space, number, seed: PointSampler(
        space.at(sobol_point(len(space.dimensions), spec.seed, number - 1))
    ),
    "grid": lambda spec, space, number, seed: PointSampler(_grid(spec, space)[number - 1]),
}
"""Sampler name to how one is made. To add one, add its line, and its name in :mod:`tuner.recipe_search`."""


class OptunaStrategy:
    """Search by one of :data:`SAMPLERS`; the first trial is always the pipeline's defaults."""

    shared = True

    def check(self, objective: Objective, space: ParameterSpace, spec: OptunaSearch) -> None:
        """Raise UserError for an unknown sampler, or one that cannot search this task."""
        if spec.sampler not in SAMPLERS:
            raise UserError(
                f"search.sampler: '{spec.sampler}' is unknown, expected one of {', '.join(SAMPLERS)}"
                f"{suggest(spec.sampler, SAMPLERS)}"
            )
        if spec.sampler == "grid" and _grid(spec, space).size > _LARGEST_GRID:
            raise UserError(
                f"search.sampler: the grid has {_grid(spec, space).size} points, expected at most {_LARGEST_GRID}; "
                "give fewer search.points, search fewer parameters, or choose qmc"
            )
        if spec.sampler == "cmaes":
            if objective.pareto:
                raise UserError(
                    "search.sampler: cmaes has one objective and cannot follow objective.pareto, expected nsga2, tpe "
                    "or gp"
                )
            if objective.constraints:
                raise UserError("search.sampler: cmaes cannot follow constraints, expected tpe, gp or nsga2")
            if all(dimension.choices is not None for dimension in space.dimensions):
                raise UserError("search.sampler: cmaes needs a numeric parameter to search, expected tpe, gp or random")

    def budget(self, space: ParameterSpace, spec: OptunaSearch) -> int:
        """The recipe's number of trials; at most the grid's points and the defaults."""
        return min(spec.trials, 1 + _grid(spec, space).size) if spec.sampler == "grid" else spec.trials

    def run(self, task: Task) -> None:
        """Ask, evaluate and tell until the budget is spent."""
        task.begin()
        while not task.done:
            with _proposing(task.spec):
                trial = task.ask(lambda slot: _sampler(task, slot))
            if trial is not None:
                task.evaluate(trial)


def _sampler(task: Task, slot: int) -> BaseSampler:
    number = max(1, slot)  # slot 0 is the defaults, for which no sampler is asked
    seed = int(np.random.SeedSequence([task.spec.seed, number]).generate_state(1)[0])
    return SAMPLERS[task.spec.sampler](task.spec, task.space, number, seed)


@contextmanager
def _proposing(spec: OptunaSearch) -> Iterator[None]:
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if spec.sampler == "gp":
            # Two threads on busy cores make fitting a Gaussian process several times slower than one.
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _grid(spec: OptunaSearch, space: ParameterSpace) -> Grid:
    return Grid(space, spec.points or GRID_POINTS, spec.seed)
