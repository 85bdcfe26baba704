"""What a search strategy is, and what it is given to work with."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial

from pixelperfect_models.errors import UserError
from tuner import interrupts
from tuner.evaluation import EvaluationError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import PruneSpec
from tuner.search.pruned_sampler import PrunedAsComplete
from tuner.search.pruning import PictureRace, race
from tuner.study import RunStudy, Sampler, succession

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
    _shown: dict[int, FrozenTrial] = field(default_factory=dict, repr=False)

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
        if self.objective.follows_incumbent:
            bests = succession(self.study.counted)
            for trial in [*bests[:1], *bests[1:][1 - self.objective.anchors :]]:
                self.objective.restore_incumbent(self.space.full(trial.params), trial.user_attrs["worth"])

    def ask(self, sampler: Sampler) -> Trial | None:
        """The next trial: one cut short earlier, the defaults, or what ``sampler`` proposes; None when all is done.

        Give a function from the trial's slot to a sampler where the proposal hangs on which trial it is, or on a
        seed: slot 0 is the defaults, the last is ``budget - 1``, and each is filled once, by whichever worker.
        While other workers evaluate the last trials this waits: one of them may die.
        """
        proposed = sampler if self._prune is None else self._shows_pruned(sampler)
        while not self.done:
            trial = self.study.ask(proposed, self.space.distributions, self.budget)
            if trial is not None:
                return trial
            time.sleep(_WAIT)
        return None

    def evaluate(self, trial: Trial) -> FrozenTrial:
        """Evaluate a trial from :meth:`ask` and record what came of it, a failure with its reason.

        Where the recipe says so (``search.prune``), a trial that cannot reach the best any more is stopped early. What
        programs wrote to standard error on the way is kept as ``stderr`` among the trial's ``user_attrs``.
        """
        self.evaluated += 1
        against = self._race(trial)
        self._take_said()  # of what was not a trial, or of one that was interrupted
        try:
            evaluation = self.objective.evaluate(self.space.full(trial.params), against)
        except EvaluationError as error:
            self._keep_said(trial)
            return self.study.fail(trial, str(error))
        self._keep_said(trial)
        if against is not None and evaluation.left_out:
            return self.study.prune(trial, evaluation, against.predicted)
        recorded = self.study.complete(trial, evaluation)
        best = self.study.best
        if self.objective.follows_incumbent and best is not None and best.number == recorded.number:
            self.objective.promote(evaluation)
        return recorded

    def _take_said(self) -> str:
        take = getattr(self.objective.pipeline, "take_said", None)  # of pipelines that run programs
        return str(take()) if take is not None else ""

    def _keep_said(self, trial: Trial) -> None:
        said = self._take_said()
        if said:
            # Another worker may have taken the trial back; then what is recorded next is dropped, too.
            with interrupts.shielded(), contextlib.suppress(UpdateFinishedTrialError):
                trial.set_user_attr("stderr", said)

    def _shows_pruned(self, sampler: Sampler) -> Sampler:
        if isinstance(sampler, BaseSampler):
            return PrunedAsComplete(sampler, self._shown)
        return lambda slot: PrunedAsComplete(sampler(slot), self._shown)

    @property
    def _prune(self) -> PruneSpec | None:
        return getattr(self.spec, "prune", None)

    def _race(self, trial: Trial) -> PictureRace | None:
        if self._prune is None or trial.user_attrs.get("role") == "defaults":
            return None
        # By the trials that count, as samplers are: the same order again where an interrupted trial is repeated.
        return race(self.objective, self.study, self._prune, self.spec.seed, len(self.study.counted))


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
