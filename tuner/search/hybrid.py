"""Hybrid search: a sampler over choices, whole numbers and what has no gradient; gradient ascent over the rest."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from pixelperfect_models.errors import UserError, suggest
from tuner.evaluation import Evaluation, EvaluationError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import HybridSearch
from tuner.search.base import Task
from tuner.search.descent import OPTIMIZERS, DescentState
from tuner.search.gradient import RUNS, loss_of, rises
from tuner.search.optuna_search import proposing, sampler_for
from tuner.search.sequences import PointSampler


class Hybrid:
    """Each trial: what the sampler proposes, then gradient ascent in the other parameters from the best so far.

    The first trial is the pipeline's defaults, evaluated once; the second ascends from them. Where only choices and
    whole numbers are sampled, and their combinations are few, the next trials try each of them once before the sampler
    takes over: one that learns from trials would repeat some by chance. A trial is recorded with
    the best point of its ascent, with ``path``, the value after each step (null where it failed), and with ``runs``,
    what it cost in pipeline runs. One that was killed is made again from its beginning.
    """

    shared = True

    def check(self, objective: Objective, space: ParameterSpace, spec: HybridSearch) -> None:
        """Raise UserError when there is nothing to sample, nothing to ascend in, or no gradient."""
        if not objective.pipeline.differentiable:
            raise UserError(
                f"search.strategy: hybrid, but {objective.pipeline.name} is not differentiable, expected composite or "
                "optuna"
            )
        if objective.pareto:
            raise UserError(
                "search.strategy: hybrid climbs one objective and cannot follow objective.pareto, expected "
                "composite or optuna"
            )
        if objective.follows_incumbent:
            raise UserError("search.strategy: hybrid cannot follow images.reference: incumbent, expected optuna")
        for name in spec.sampled:
            if name not in space.names:
                hint = suggest(name, space.names)
                raise UserError(
                    f"search.sampled: '{name}' is not searched, expected some of {', '.join(space.names)}{hint}"
                )
        outer, inner = split(space, spec)
        if not outer.dimensions:
            raise UserError(
                "search.strategy: hybrid has nothing to sample (no choice, no whole number, no "
                "search.sampled), expected gradient"
            )
        if not inner.dimensions:
            raise UserError("search.strategy: hybrid has nothing left to ascend in, expected composite or optuna")

    def budget(self, space: ParameterSpace, spec: HybridSearch) -> int:
        """The recipe's number of trials."""
        return spec.trials

    def run(self, task: Task) -> None:
        """Ask, ascend and tell until the budget is spent."""
        outer, inner = split(task.space, task.spec)
        task.begin()
        while not task.done:
            sampled = dataclasses.replace(task, space=outer)
            with proposing(task.spec):
                trial = sampled.ask(lambda slot: _sampler(task, outer, slot))
            if trial is not None:
                _evaluate(task, trial, inner)


def split(space: ParameterSpace, spec: HybridSearch) -> tuple[ParameterSpace, ParameterSpace]:
    """What is sampled, and what is ascended in."""
    outer = [d for d in space.dimensions if not d.continuous or d.name in spec.sampled]
    return ParameterSpace(outer), ParameterSpace([d for d in space.dimensions if d not in outer])


def _sampler(task: Task, outer: ParameterSpace, slot: int) -> BaseSampler:
    if slot <= 1:  # the ascent from the defaults
        return PointSampler(outer.defaults())
    others = _other_combinations(outer, task.spec)
    if slot - 2 < len(others):
        return PointSampler(others[slot - 2])
    return _Only(sampler_for(task, outer, slot), outer.names)


def _other_combinations(outer: ParameterSpace, spec: HybridSearch) -> list[dict[str, Any]]:
    """All combinations but the defaults', in an order drawn from the seed; none where half the trials are too few."""
    most = spec.trials // 2
    values = [d.choices or range(int(d.low), int(d.high) + 1) for d in outer.dimensions if not d.continuous]
    if len(values) < len(outer.dimensions) or math.prod(len(v) for v in values) - 1 > most:
        return []
    names, defaults = outer.names, outer.defaults()
    combinations = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]
    others = [combination for combination in combinations if combination != defaults]
    return [others[index] for index in np.random.default_rng(spec.seed).permutation(len(others))]


def _evaluate(task: Task, trial: Trial, inner: ParameterSpace) -> None:
    if trial.user_attrs.get("role") == "defaults":
        _suggest(task, trial, inner, inner.defaults())
        task.evaluate(trial)
        return
    task.evaluated += 1
    reached = _ascend(task, trial.params, inner)
    trial.set_user_attr("path", reached.path)
    trial.set_user_attr("runs", reached.runs)
    if reached.evaluation is None:
        task.study.fail(trial, reached.reason)
        return
    trial.set_user_attr("optimizer", dataclasses.asdict(reached.state))
    _suggest(task, trial, inner, reached.values)
    task.study.complete(trial, reached.evaluation)


@dataclasses.dataclass
class _Ascent:
    """How one ascent went: where it is, what it found, what it cost."""

    state: DescentState
    evaluation: Evaluation | None = None
    values: dict[str, float] = dataclasses.field(default_factory=dict)
    path: list[float | None] = dataclasses.field(default_factory=list)
    runs: int = 0
    reason: str = ""


def _ascend(task: Task, sampled: Mapping[str, Any], inner: ParameterSpace) -> _Ascent:
    ascent = _Ascent(_begin(task, inner))
    state = ascent.state
    while state.step < task.spec.steps and not state.done and not (ascent.path and task.out_of_time):
        leaf = torch.tensor(state.point, dtype=torch.float64, requires_grad=True)
        outcome: Evaluation | None = None
        try:
            outcome = task.objective.evaluate_backward(
                lambda leaf=leaf: task.space.full({**sampled, **inner.from_unit(leaf)})  # type: ignore[misc]
            )
        except EvaluationError as error:
            ascent.reason = ascent.reason or str(error)
        state.step += 1
        ascent.runs += 1 if leaf.grad is None else RUNS
        ascent.path.append(None if outcome is None else outcome.value)
        if outcome is not None and (ascent.evaluation is None or outcome.standing > ascent.evaluation.standing):
            ascent.evaluation, ascent.values = outcome, inner.numbers(inner.from_unit(leaf.detach()))
        gradient = None if leaf.grad is None else leaf.grad.numpy()
        loss = None if outcome is None else loss_of(outcome)
        if (
            loss is not None
            and gradient is not None
            and np.isfinite(gradient).all()
            and not rises(loss, state.good_loss)
        ):
            state.accept(loss, gradient, task.spec.learning_rate)
        elif state.good is None:  # nothing to return to
            break
        else:
            state.back_off(loss, gradient)
    return ascent


def _begin(task: Task, inner: ParameterSpace) -> DescentState:
    """From the best trial so far, with what its ascent knew of the curvature."""
    best = task.study.best
    values = inner.defaults() if best is None else best.params
    state = OPTIMIZERS[task.spec.optimizer](0, inner.to_unit(values).tolist(), task.spec.learning_rate, 0)
    if best is not None and best.state == TrialState.COMPLETE and "optimizer" in best.user_attrs:
        state.inherit(OPTIMIZERS[task.spec.optimizer](**best.user_attrs["optimizer"]))
    return state


def _suggest(task: Task, trial: Trial, inner: ParameterSpace, values: Mapping[str, Any]) -> None:
    """Make the values that were found the trial's parameters."""
    task.study.study.sampler = PointSampler(values)
    for dimension in inner.dimensions:
        trial.suggest_float(dimension.name, dimension.low, dimension.high, log=dimension.log)


class _Only(BaseSampler):  # type: ignore[misc]  # Optuna is read as untyped
    """A sampler that sees some of the parameters alone: the others are not sampled but found."""

    def __init__(self, sampler: BaseSampler, names: tuple[str, ...]) -> None:
        self._sampler = sampler
        self._names = names

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The sampler's own, of those parameters."""
        space = self._sampler.infer_relative_search_space(study, trial)
        return {name: distribution for name, distribution in space.items() if name in self._names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The sampler's own."""
        return dict(self._sampler.sample_relative(study, trial, search_space))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The sampler's own."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)
