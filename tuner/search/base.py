"""What a search strategy is, and what it is given to work with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from optuna.trial import FrozenTrial, Trial

from pixelperfect_models.errors import UserError
from tuner.evaluation import EvaluationError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.study import RunStudy, Sampler, value_of

_WAIT = 0.5
"""Seconds between two looks at the trials that other workers have under way."""


@dataclass
class Task:
    """One search under way.

    A black-box strategy calls :meth:`begin`, then :meth:`ask` and :meth:`evaluate` while it is not :attr:`done`.

    Attributes:
        objective: what is maximised.
        space: where it is searched.
        study: where trials are recorded, those of earlier sessions among them.
        spec: the recipe's ``search`` section.
        budget: how many counted trials the study has when the search is done.
        folder: the run's folder, absolute; a strategy may keep files of its own in a folder below it.
        limit: how many trials this process evaluates at most; None: no limit of its own.
        evaluated: how many it has evaluated.
        started: when this session began, on ``time.monotonic``'s clock.
    """

    objective: Objective
    space: ParameterSpace
    study: RunStudy
    spec: Any
    budget: int
    folder: Path
    limit: int | None = None
    evaluated: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def out_of_time(self) -> bool:
        """True when the recipe's ``timeout`` (seconds of this session) is over."""
        return self.spec.timeout is not None and time.monotonic() - self.started >= self.spec.timeout

    @property
    def done(self) -> bool:
        """True when the budget is spent, the time is over, or this process has evaluated what it may."""
        enough = self.limit is not None and self.evaluated >= self.limit
        return enough or len(self.study.counted) >= self.budget or self.out_of_time

    def begin(self) -> None:
        """Make the pipeline's defaults the first trial of the study; take up the incumbent of an older one."""
        self.study.enqueue_defaults(self.space.defaults())
        best = self.study.best
        value = None if best is None else value_of(best)
        if self.objective.follows_incumbent and best is not None and value is not None:
            self.objective.restore_incumbent(self.space.full(best.params), value)

    def ask(self, sampler: Sampler) -> Trial | None:
        """The next trial: one cut short earlier, the defaults, or what ``sampler`` proposes; None when all is done.

        Give a function from the trial's slot to a sampler where the proposal hangs on which trial it is, or on a
        seed: slot 0 is the defaults, the last is ``budget - 1``, and each is filled once, by whichever worker.
        While other workers evaluate the last trials this waits: one of them may die.
        """
        while not self.done:
            trial = self.study.ask(sampler, self.space.distributions, self.budget)
            if trial is not None:
                return trial
            time.sleep(_WAIT)
        return None

    def evaluate(self, trial: Trial) -> FrozenTrial:
        """Evaluate a trial from :meth:`ask` and record what came of it, a failure with its reason."""
        self.evaluated += 1
        try:
            evaluation = self.objective.evaluate(self.space.full(trial.params))
        except EvaluationError as error:
            return self.study.fail(trial, str(error))
        recorded = self.study.complete(trial, evaluation)
        best = self.study.best
        if self.objective.follows_incumbent and best is not None and best.number == recorded.number:
            self.objective.promote(evaluation)
        return recorded


class Search(Protocol):
    """A strategy: proposes parameters, evaluates them and records each trial, until its budget is spent.

    One that several workers can share, since it takes every trial from ``task.ask``, has an attribute
    ``shared = True``.
    """

    def check(self, objective: Objective, space: ParameterSpace, spec: Any) -> None:
        """Raise UserError when this strategy cannot search this; ``spec`` is the recipe's ``search`` section."""

    def budget(self, space: ParameterSpace, spec: Any) -> int:
        """How many counted trials the study has when the search is done; fewer where it converges early."""

    def run(self, task: Task) -> None:
        """Search on from what ``task.study`` holds. KeyboardInterrupt leaves every finished trial recorded."""


def check_shared(search: Search, objective: Objective, strategy: str) -> None:
    """Raise UserError when several workers cannot share this search; a strategy that can says ``shared = True``."""
    if not getattr(search, "shared", False):
        raise UserError(
            f"search.strategy: {strategy} makes each trial from the one before, expected one process alone, or a "
            "strategy that workers can share, such as optuna"
        )
    if objective.follows_incumbent:
        raise UserError(
            "images.reference: incumbent compares each trial with the best before it, expected one process alone"
        )
