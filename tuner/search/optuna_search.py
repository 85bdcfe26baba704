"""Black-box search: an Optuna sampler proposes, the objective is asked, the study remembers."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from pixelperfect_models.errors import UserError, suggest
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import HybridSearch, OptunaSearch, optuna_samplers
from tuner.search.base import Task
from tuner.search.pruning import check_pruning
from tuner.search.sequences import Grid, PointSampler, sobol_point

GRID_POINTS = 5
"""Values of a continuous parameter on a grid, unless the recipe says."""

_LARGEST_GRID = 1_000_000

# A sampler lives for one trial. What it must know of earlier trials it reads from the study, and its random numbers
# come from the recipe's seed and the trial's number. So a killed and resumed search proposes what an undisturbed one
# would have, where one sampler with one seed would begin its random numbers again.
SAMPLERS: dict[str, tuple[type[BaseSampler], dict[str, Any]]] = {
    "tpe": (TPESampler, {}),
    "gp": (GPSampler, {"deterministic_objective": True, "warn_independent_sampling": False}),
    "cmaes": (CmaEsSampler, {"warn_independent_sampling": False}),
    # Optuna's population of 50 would be one generation in a usual search.
    "nsga2": (NSGAIISampler, {"population_size": 12}),
    "nsga3": (NSGAIIISampler, {"population_size": 12}),
    "random": (RandomSampler, {}),
}
"""Sampler name to its class and the options it has unless the recipe says. To add one, add its line, and its name in
:mod:`tuner.recipe_search`. ``qmc`` and ``grid`` are sequences of our own."""
SEQUENCES = ("qmc", "grid")


def sampler_class(name: str) -> type[BaseSampler]:
    """The class of a sampler: of :data:`SAMPLERS`, of ``optuna.samplers``, or ``package.module:Class``.

    Raises:
        UserError: there is none of this name.
    """
    if name in SAMPLERS:
        return SAMPLERS[name][0]
    module, colon, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module if colon else "optuna.samplers"), attribute if colon else name)
    except (ImportError, AttributeError, ValueError) as error:
        known = [*SAMPLERS, *SEQUENCES, *optuna_samplers()]
        raise UserError(
            f"search.sampler: '{name}' is unknown ({error}), expected {', '.join([*SAMPLERS, *SEQUENCES])}, a class of "
            f"optuna.samplers or package.module:Class{suggest(name, known)}"
        ) from None
    if not (inspect.isclass(found) and issubclass(found, BaseSampler)):
        raise UserError(f"search.sampler: '{name}' is no sampler, expected a class derived from BaseSampler")
    return found


def _make(name: str, options: Mapping[str, Any], seed: int) -> BaseSampler:
    """A sampler with the recipe's options; those that take a seed get this one.

    Raises:
        UserError: it does not take these options.
    """
    cls = sampler_class(name)
    takes = inspect.signature(cls).parameters
    open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values())
    for option in options:
        if option not in takes and not open_ended:
            raise UserError(
                f"search.options: {cls.__name__} takes no '{option}', expected some of {', '.join(takes)}"
                f"{suggest(option, takes)}"
            )
    given = {**SAMPLERS.get(name, (cls, {}))[1], **options}
    if "seed" in takes and "seed" not in given:
        given["seed"] = seed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return cls(**given)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"search.options: {cls.__name__} does not take {given}: {' '.join(str(error).split())}"
        ) from None


class OptunaStrategy:
    """Search by an Optuna sampler; the first trial is always the pipeline's defaults."""

    shared = True

    def check(self, objective: Objective, space: ParameterSpace, spec: OptunaSearch) -> None:
        """Raise UserError for an unknown sampler, or one that cannot search this task."""
        check_pruning(objective, spec.prune)
        if spec.sampler in SEQUENCES:
            if spec.options:
                raise UserError(f"search.options: {spec.sampler} takes none, expected none")
        else:
            _make(spec.sampler, spec.options, 0)
        if spec.sampler == "grid" and _grid(spec, space).size > _LARGEST_GRID:
            raise UserError(
                f"search.sampler: the grid has {_grid(spec, space).size} points, expected at most {_LARGEST_GRID}; "
                "give fewer search.points, search fewer parameters, or choose qmc"
            )
        if spec.sampler not in SEQUENCES and issubclass(sampler_class(spec.sampler), CmaEsSampler):
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
            with proposing(task.spec):
                trial = task.ask(lambda slot: sampler_for(task, task.space, slot))
            if trial is not None:
                task.evaluate(trial)


def sampler_for(task: Task, space: ParameterSpace, slot: int) -> BaseSampler:
    """The sampler of the recipe for the trial of this slot, over ``space``."""
    number = max(1, slot)  # slot 0 is the defaults, for which no sampler is asked
    seed = int(np.random.SeedSequence([task.spec.seed, number]).generate_state(1)[0])
    spec = task.spec
    if spec.sampler == "qmc":
        return PointSampler(space.at(sobol_point(len(space.dimensions), spec.seed, number - 1)))
    if spec.sampler == "grid":
        return PointSampler(_grid(spec, space)[number - 1])
    options = dict(getattr(spec, "options", {}))
    if spec.sampler == "gp" and getattr(spec, "prune", None) is not None:
        options.setdefault(
            "deterministic_objective", False
        )  # what a pruned trial was expected to be worth is not exact
    return _make(spec.sampler, options, seed)


@contextmanager
def proposing(spec: OptunaSearch | HybridSearch) -> Iterator[None]:
    """While a sampler thinks: no experimental warnings, and one thread for Gaussian processes."""
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if spec.sampler in ("gp", "GPSampler"):
            # Two threads on busy cores make fitting a Gaussian process several times slower than one.
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _grid(spec: OptunaSearch, space: ParameterSpace) -> Grid:
    return Grid(space, spec.points or GRID_POINTS, spec.seed)
