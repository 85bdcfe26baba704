"""What a search strategy is, and what it is given to work with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial

from tuner.evaluation import EvaluationError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe_search import PruneSpec
from tuner.search.pruned_sampler import PrunedAsComplete
from tuner.search.pruning import PictureRace, race
from tuner.study import RunStudy, succession


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
        started: when this session began, on ``time.monotonic``'s clock.
    """

    objective: Objective
    space: ParameterSpace
    study: RunStudy
    spec: Any
    budget: int
    folder: Path
    started: float = field(default_factory=time.monotonic)
    _shown: dict[int, FrozenTrial] = field(default_factory=dict, repr=False)

    @property
    def out_of_time(self) -> bool:
        """True when the recipe's ``timeout`` (seconds of this session) is over."""
        return self.spec.timeout is not None and time.monotonic() - self.started >= self.spec.timeout

    @property
    def done(self) -> bool:
        """True when the budget is spent or the time is over."""
        return len(self.study.counted) >= self.budget or self.out_of_time

    def begin(self) -> None:
        """Queue the pipeline's defaults as the first trial of an empty study; take up the incumbent of an older one."""
        self.study.enqueue_defaults(self.space.defaults())
        if self.objective.follows_incumbent:
            bests = succession(self.study.counted)
            for trial in [*bests[:1], *bests[1:][1 - self.objective.anchors :]]:
                self.objective.restore_incumbent(self.space.full(trial.params), trial.user_attrs["worth"])

    def ask(self, sampler: BaseSampler) -> Trial | None:
        """The next trial: a queued one, or what ``sampler`` proposes; None when the search is done."""
        if self._prune is not None:
            sampler = PrunedAsComplete(sampler, self._shown)
        return None if self.done else self.study.ask(sampler, self.space.distributions)

    def evaluate(self, trial: Trial) -> FrozenTrial:
        """Evaluate a trial from :meth:`ask` and record what came of it, a failure with its reason.

        Where the recipe says so (``search.prune``), a trial that cannot reach the best any more is stopped early.
        """
        against = self._race(trial)
        try:
            evaluation = self.objective.evaluate(self.space.full(trial.params), against)
        except EvaluationError as error:
            return self.study.fail(trial, str(error))
        if against is not None and evaluation.left_out:
            return self.study.prune(trial, evaluation, against.predicted)
        recorded = self.study.complete(trial, evaluation)
        best = self.study.best
        if self.objective.follows_incumbent and best is not None and best.number == recorded.number:
            self.objective.promote(evaluation)
        return recorded

    @property
    def _prune(self) -> PruneSpec | None:
        return getattr(self.spec, "prune", None)

    def _race(self, trial: Trial) -> PictureRace | None:
        if self._prune is None or trial.user_attrs.get("role") == "defaults":
            return None
        # By the trials that count, as samplers are: the same order again where an interrupted trial is repeated.
        return race(self.objective, self.study, self._prune, self.spec.seed, len(self.study.counted))


class Search(Protocol):
    """A strategy: proposes parameters, evaluates them and records each trial, until its budget is spent."""

    def check(self, objective: Objective, space: ParameterSpace, spec: Any) -> None:
        """Raise UserError when this strategy cannot search this; ``spec`` is the recipe's ``search`` section."""

    def budget(self, space: ParameterSpace, spec: Any) -> int:
        """How many counted trials the study has when the search is done; fewer where it converges early."""

    def run(self, task: Task) -> None:
        """Search on from what ``task.study`` holds. KeyboardInterrupt leaves every finished trial recorded."""
