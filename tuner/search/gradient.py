"""Gradient ascent on the objective: Adam or L-BFGS in the unit cube, from several starting points."""

from __future__ import annotations

import datetime
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from pixelperfect_models.errors import UserError
from tuner.evaluation import Evaluation, EvaluationError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import GradientSearch
from tuner.search.base import Task
from tuner.search.descent import OPTIMIZERS, DescentState
from tuner.search.sequences import sobol_point

_RISE = 1e-6
"""A loss higher than the last good one by more than this (relative) counts as rising."""
_BROKEN = 100.0
"""What a limit broken by all of itself adds to the loss: one for every per cent, more than a value gains there."""
RUNS = 3
"""Pipeline runs that a step costs: one forward, and a backward pass that takes about as long as two."""


class GradientAscent:
    """An optimiser from the pipeline's defaults and then from Sobol points; every evaluation is a trial.

    Measures such as bytes or seconds have no gradient, so limits do not bend the path: a step across one counts as a
    rise, and the path goes back and creeps up to it. Along a limit it cannot go; for that there is composite.
    """

    def check(self, objective: Objective, space: ParameterSpace, spec: GradientSearch) -> None:
        """Raise UserError when the pipeline or a searched parameter has no gradient."""
        if not objective.pipeline.differentiable:
            raise UserError(
                f"search.strategy: gradient, but {objective.pipeline.name} is not differentiable, expected optuna"
            )
        if objective.pareto:
            raise UserError(
                "search.strategy: gradient climbs one objective and cannot follow objective.pareto, expected optuna "
                "(nsga2 or tpe); to weigh a differentiable measure into the value, use objective.costs"
            )
        steps = [dimension.name for dimension in space.dimensions if not dimension.continuous]
        if steps:
            raise UserError(f"search.strategy: gradient, but {', '.join(steps)} is not continuous, expected optuna")
        if objective.follows_incumbent:
            raise UserError(
                "search.strategy: gradient cannot follow images.reference: incumbent, whose reference changes on the "
                "way, expected optuna"
            )

    def budget(self, space: ParameterSpace, spec: GradientSearch) -> int:
        """Starts times steps; fewer trials are made where a start converges."""
        return spec.starts * spec.steps

    def run(self, task: Task) -> None:
        """Make the steps that are not recorded yet, start after start."""
        state = _resume(task)
        while not task.out_of_time:
            if state.done or state.step >= task.spec.steps:
                if state.start + 1 >= task.spec.starts:
                    return
                state = _begin(task, state.start + 1, state.drawn)
            _step(task, state)


def loss_of(outcome: Evaluation) -> float:
    """What is descended: minus the value, and what limits cost that are broken."""
    return _BROKEN * outcome.violation - outcome.value


def rises(loss: float, good: float) -> bool:
    """True where a loss is higher than the last good one by more than rounding."""
    return loss > good + _RISE * max(1.0, abs(good))


def _begin(task: Task, start: int, drawn: int) -> DescentState:
    kind = OPTIMIZERS[task.spec.optimizer]
    if start == 0:
        point = task.space.to_unit(task.space.defaults()).tolist()
        return kind(0, point, task.spec.learning_rate, drawn)
    return kind(start, _draw(task, drawn), task.spec.learning_rate, drawn + 1)


def _draw(task: Task, number: int) -> list[float]:
    return [float(u) for u in sobol_point(len(task.space.dimensions), task.spec.seed, number)]


def _resume(task: Task) -> DescentState:
    for trial in reversed(task.study.counted):
        stored: dict[str, Any] | None = trial.user_attrs.get("optimizer")
        if stored is not None:
            return OPTIMIZERS[task.spec.optimizer](**stored)
    return _begin(task, 0, 0)


def _step(task: Task, state: DescentState) -> None:
    started = datetime.datetime.now()
    leaf = torch.tensor(state.point, dtype=torch.float64, requires_grad=True)
    values = task.space.numbers(task.space.from_unit(leaf.detach()))
    outcome: Evaluation | str
    try:
        outcome = task.objective.evaluate_backward(lambda: task.space.full(task.space.from_unit(leaf)))
    except EvaluationError as error:
        outcome = str(error)
    gradient = np.zeros(len(state.point)) if leaf.grad is None else leaf.grad.numpy()
    role = "defaults" if state.start == 0 and state.step == 0 else "search"
    attributes: dict[str, Any] = {"role": role, "start": state.start, "step": state.step}
    attributes["runs"] = RUNS if leaf.grad is not None else 1  # one that failed on the way forward stopped there

    state.step += 1
    bad = isinstance(outcome, str) or not np.isfinite(gradient).all()
    if not isinstance(outcome, str) and not bad:
        loss = loss_of(outcome)
        longest = task.spec.learning_rate
        if task.spec.back_off:
            bad = rises(loss, state.good_loss)
        else:
            longest *= 0.1 ** (state.step / task.spec.steps)
        if not bad:
            state.accept(loss, gradient, longest)
    if bad and state.good is not None:
        state.back_off(
            None if isinstance(outcome, str) else loss_of(outcome), gradient if leaf.grad is not None else None
        )
    elif bad:  # nothing to return to: begin somewhere else
        state.point, state.drawn = _draw(task, state.drawn), state.drawn + 1
    # Recorded with the state after it, so that one write holds all that resuming needs.
    attributes["optimizer"] = asdict(state)
    task.study.add(values, task.space.distributions, outcome, started, attributes)
