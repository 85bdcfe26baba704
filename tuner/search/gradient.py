"""Gradient ascent on the objective: Adam in the unit cube, from several starting points, backing off when it fails."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from pixelperfect_models.errors import UserError
from tuner.evaluation import Evaluation, EvaluationError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import GradientSearch
from tuner.search.base import Task
from tuner.search.sequences import sobol_point

# Kingma and Ba 2015 with its usual decay rates, the second a little shorter for runs of a few dozen steps.
_DECAY_1, _DECAY_2 = 0.9, 0.99
_EPSILON = 1e-12  # in units of the gradient, which may be as small as 1e-4 for a large picture
_GROWTH = 1.25
"""After a good step the step size grows again by this, up to the recipe's learning rate."""
_RISE = 1e-6
"""A loss higher than the last good one by more than this (relative) counts as rising."""
_CONVERGED = 1e-5
"""A start ends when its steps have become shorter than this share of the range: nothing more is to be gained."""


@dataclass
class AdamState:
    """Where one start is: enough to go on after a kill. Points and gradients are in the unit cube, (D,).

    Attributes:
        start: which starting point; 0 is the pipeline's defaults.
        step: how many steps it has made.
        point: where the next step is evaluated.
        step_size: longest step, as a share of the range.
        good, good_loss, gradient: the last accepted point, its loss and gradient; ``good`` is None before the first.
        mean, square, count: Adam's moments over the accepted points since the last back-off.
        drawn: how many Sobol points have been used up by all starts.
        done: this start has converged.
    """

    start: int
    point: list[float]
    step_size: float
    drawn: int
    step: int = 0
    good: list[float] | None = None
    good_loss: float = 1e300
    gradient: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    square: list[float] = field(default_factory=list)
    count: int = 0
    done: bool = False

    def accept(self, loss: float, gradient: np.ndarray, largest_step: float) -> None:
        """``point`` was good: move on from it by one Adam step."""
        if self.good is not None:
            self.step_size = min(self.step_size * _GROWTH, largest_step)
        self.good, self.good_loss, self.gradient = list(self.point), loss, gradient.tolist()
        self.count += 1
        mean = np.array(self.mean or np.zeros_like(gradient))
        square = np.array(self.square or np.zeros_like(gradient))
        self.mean = (_DECAY_1 * mean + (1 - _DECAY_1) * gradient).tolist()
        self.square = (_DECAY_2 * square + (1 - _DECAY_2) * gradient**2).tolist()
        self._propose()

    def back_off(self) -> None:
        """``point`` was bad: return to the last good one and go half as far, along its own gradient.

        The moments are forgotten, because a step along old gradients need not lead downhill however short it is.
        """
        gradient = np.array(self.gradient)
        self.step_size /= 2
        self.count = 1
        self.mean, self.square = ((1 - _DECAY_1) * gradient).tolist(), ((1 - _DECAY_2) * gradient**2).tolist()
        self._propose()

    def _propose(self) -> None:
        assert self.good is not None
        mean = np.array(self.mean) / (1 - _DECAY_1**self.count)
        square = np.array(self.square) / (1 - _DECAY_2**self.count)
        good = np.array(self.good)
        # Projected onto the box: a parameter that is best at its bound ends on it.
        point = np.clip(good - self.step_size * mean / (np.sqrt(square) + _EPSILON), 0.0, 1.0)
        self.done = bool(np.abs(point - good).max() < _CONVERGED)
        self.point = point.tolist()


class GradientAscent:
    """Adam from the pipeline's defaults and from Sobol points; every evaluation is a trial.

    Constraints do not bend the path, since measures such as seconds have no gradient; a trial that breaks one is
    recorded as infeasible and is not chosen as best.
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


def _begin(task: Task, start: int, drawn: int) -> AdamState:
    if start == 0:
        point = task.space.to_unit(task.space.defaults()).tolist()
        return AdamState(0, point, task.spec.learning_rate, drawn)
    return AdamState(start, _draw(task, drawn), task.spec.learning_rate, drawn + 1)


def _draw(task: Task, number: int) -> list[float]:
    return [float(u) for u in sobol_point(len(task.space.dimensions), task.spec.seed, number)]


def _resume(task: Task) -> AdamState:
    for trial in reversed(task.study.counted):
        stored: dict[str, Any] | None = trial.user_attrs.get("optimizer")
        if stored is not None:
            return AdamState(**stored)
    return _begin(task, 0, 0)


def _step(task: Task, state: AdamState) -> None:
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

    state.step += 1
    bad = isinstance(outcome, str) or not np.isfinite(gradient).all()
    if not isinstance(outcome, str) and not bad:
        loss = -outcome.value
        longest = task.spec.learning_rate
        if task.spec.back_off:
            bad = loss > state.good_loss + _RISE * max(1.0, abs(state.good_loss))
        else:
            longest *= 0.1 ** (state.step / task.spec.steps)
        if not bad:
            state.accept(loss, gradient, longest)
    if bad and state.good is not None:
        state.back_off()
    elif bad:  # nothing to return to: begin somewhere else
        state.point, state.drawn = _draw(task, state.drawn), state.drawn + 1
    # Recorded with the state after it, so that one write holds all that resuming needs.
    attributes["optimizer"] = asdict(state)
    task.study.add(values, task.space.distributions, outcome, started, attributes)
