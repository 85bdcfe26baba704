"""What a run found, and the files of its folder that say so while it goes on."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tuner import run_folder
from tuner.parameter_space import ParameterSpace
from tuner.pareto import front_record
from tuner.recipe import Recipe
from tuner.study import RunStudy
from tuner.trials import trial_record


@dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes:
        best_parameters: all parameters the recipe names, fixed and searched, at the best trial.
        trials: every counted trial, failed ones too, in order; ``trial.user_attrs`` says what each is made of.
        run_dir: the run's folder, absolute.
        start: record of the trial at the pipeline's defaults (of the first completed one, where that failed).
        best: record of the best trial: the best value of those that keep the constraints, also where the recipe has
            Pareto measures. Keys of both: :func:`tuner.study.trial_record`.
        front: the trials on the Pareto front, the best value first; empty where the value is the only objective.
    """

    best_parameters: dict[str, Any]
    trials: list[FrozenTrial]
    run_dir: Path
    start: dict[str, Any]
    best: dict[str, Any]
    front: list[FrozenTrial] = field(default_factory=list)


class Keeper:
    """Keeps ``best_parameters.yaml`` and ``result.json`` up to date."""

    def __init__(self, folder: Path, study: RunStudy, space: ParameterSpace, recipe: Recipe) -> None:
        self._folder = folder
        self._study = study
        self._space = space
        self._search = recipe.search
        self._pareto = recipe.objective.pareto

    def record(self, trial: FrozenTrial) -> None:
        """A trial was recorded: write when it is the best, or on the Pareto front."""
        best = self._study.best
        joined = any(other.number == trial.number for other in self._study.front)
        if joined or (best is not None and best.number == trial.number):
            self.write(interrupted=True, sync=False)  # as it would be if the process were killed now

    def write(self, interrupted: bool, sync: bool = True) -> None:
        """Write both files; nothing while no trial is complete. ``sync``: wait for the disk."""
        if self._study.best is None:
            return
        result = self.result()
        trials = self._study.counted
        seconds = busy_seconds(trials)
        run_folder.write_yaml(self._folder / run_folder.BEST, result.best_parameters, sync)
        if self._pareto:
            front = front_record(self._study.front, self._pareto, self._space.fixed)
            run_folder.write_json(self._folder / run_folder.PARETO, front, sync)
        run_folder.write_json(
            self._folder / run_folder.RESULT,
            {
                "start": result.start,
                "best": result.best,
                "trials": len(trials),
                "failed": sum(trial.state == TrialState.FAIL for trial in trials),
                "interrupted": interrupted,
                "seconds": seconds,
                "trials_per_second": len(trials) / seconds if seconds > 0 else 0.0,
                "strategy": self._search.strategy,
                "sampler": getattr(self._search, "sampler", None),
                "direction": "maximize",
            },
            sync,
        )

    def result(self) -> Result:
        """What was found so far; there is a best trial."""
        best = self._study.best
        assert best is not None
        complete = (trial for trial in self._study.counted if trial.state == TrialState.COMPLETE)
        start = self._study.start or next(complete)
        return Result(
            best_parameters=self._space.full(best.params),
            trials=list(self._study.counted),
            run_dir=self._folder,
            start=trial_record(start, self._space.fixed),
            best=trial_record(best, self._space.fixed),
            front=sorted(self._study.front, key=lambda trial: (-trial.values[0], trial.number)),
        )


def busy_seconds(trials: Sequence[FrozenTrial]) -> float:
    """How long at least one of the trials was under way, over all sessions and workers, seconds of wall time."""
    spans = sorted(
        (trial.datetime_start, trial.datetime_complete)
        for trial in trials
        if trial.datetime_start is not None and trial.datetime_complete is not None
    )
    seconds, until = 0.0, datetime.datetime.min
    for begun, ended in spans:
        if ended > until:
            seconds += (ended - max(begun, until)).total_seconds()
            until = ended
    return seconds
