"""One run: from a recipe to the best parameters, in a folder that tells how they were found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

import pipelines
from pixelperfect_models.errors import PixelPerfectError
from tuner import interrupts, run_folder
from tuner.events import EventLines
from tuner.fingerprint import fingerprint
from tuner.live import Progress
from tuner.objective import Judge, Objective
from tuner.parameter_space import ParameterSpace
from tuner.pareto import front_record
from tuner.pictures import read_penalties, read_pictures
from tuner.recipe import Recipe
from tuner.recipe_search import SweepSearch
from tuner.report.sweep_page import write_sweep_page
from tuner.search.base import Task
from tuner.search.table import strategy
from tuner.study import RunStudy, trial_record


class RunFailed(PixelPerfectError):
    """Every trial of the run failed."""


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


def prepare(recipe: Recipe, judge: Judge | None = None) -> tuple[Objective, ParameterSpace]:
    """Pipeline, pictures and judge of a loaded recipe as an objective, and the space it is searched in.

    Raises:
        UserError: a picture, the pipeline or the judge's weights cannot be loaded.
    """
    pipeline = pipelines.load(recipe.pipeline.name, recipe.pipeline.options)
    if judge is None:
        from pixelperfect_models.judge import PixelPerfect

        judge = PixelPerfect.from_pretrained(recipe.judge.weights)
    objective = Objective(
        judge,
        pipeline,
        read_pictures(recipe, pipeline.input),
        read_penalties(recipe),
        recipe.objective.constraints,
        recipe.objective.score.weight,
        recipe.objective.score.kind,
        recipe.search.seed,
        recipe.objective.costs,
        recipe.objective.pareto,
    )
    return objective, ParameterSpace.of(pipeline, recipe.pipeline)


def run(
    recipe: Recipe,
    out_dir: str | Path | None = None,
    resume: bool = False,
    console: Console | None = None,
    quiet: bool = False,
    judge: Judge | None = None,
    events: EventLines | None = None,
) -> Result:
    """Search, and leave everything in the run's folder.

    Args:
        recipe: from :func:`tuner.load_recipe`.
        out_dir: the run's folder. Default: ``runs/<recipe name>-<time>``; on resuming the newest of that name.
        resume: go on with the run in ``out_dir`` up to the recipe's number of trials.
        console: where progress is shown. Default: standard error.
        quiet: show no progress.
        judge: instead of the recipe's own.
        events: told of the start and of every trial; its other events are the caller's to send.

    Raises:
        UserError: something in recipe or folder is wrong; nothing was searched.
        RunFailed: every trial failed; names the first reason.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when all finished trials and the best parameters are on disk.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = strategy(recipe.search.strategy)
    name, resolved = recipe.name or "run", recipe.resolved()
    study: RunStudy | None = None
    try:
        if resume:  # first, since loading the judge takes longer than finding that there is nothing to resume
            folder = run_folder.existing_folder(name, out_dir)
            study = RunStudy.resume(folder, resolved)
        objective, space = prepare(recipe, judge)
        search.check(objective, space, recipe.search)
        if study is None:  # last, so that a recipe that is refused leaves no folder behind
            folder = run_folder.new_folder(name, out_dir)
            study = RunStudy.create(folder, resolved)
        study.match(fingerprint(recipe, objective.pipeline, objective.judge))
        run_folder.write_yaml(folder / run_folder.RECIPE, resolved)
        if not (folder / run_folder.ENVIRONMENT).exists():
            run_folder.write_json(folder / run_folder.ENVIRONMENT, run_folder.environment())
        task = Task(objective, space, study, recipe.search, search.budget(space, recipe.search), folder)
        keeper = _Keeper(folder, study, space, recipe)
        progress = Progress(console or Console(stderr=True), task.budget, len(study.counted), quiet, name)

        def record(trial: FrozenTrial) -> None:
            keeper.record(trial)
            progress.update(trial, study.best, study.start, len(study.front))
            if events is not None:
                events.update(trial, study.best, len(study.front))

        if events is not None:
            events.started(folder, recipe, task.budget, len(study.counted), study.best)
        study.on_record = record
        with interrupts.handled(), progress:
            try:
                search.run(task)
            except BaseException:  # Ctrl-C, or an error that is not the pipeline's: the trial may be tried again
                with interrupts.shielded():
                    study.interrupt()
                    keeper.write(interrupted=True)
                raise
        if study.best is None:
            failed = len(study.counted)
            reason = study.counted[0].user_attrs.get("reason", "unknown") if failed else "there was no time for one"
            raise RunFailed(f"{folder}: all {failed} trials failed; the first: {reason}")
        keeper.write(interrupted=False)
        result = keeper.result()
        if isinstance(recipe.search, SweepSearch):
            write_sweep_page(folder, recipe, space, study.counted)
        run_folder.write_pictures(folder, objective, result.best_parameters, result.start["parameters"])
        return result
    finally:
        if study is not None:
            study.close()


class _Keeper:
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
        joined = bool(self._study.front) and self._study.front[-1].number == trial.number
        if joined or (best is not None and best.number == trial.number):
            self.write(interrupted=True)  # as it would be if the process were killed now

    def write(self, interrupted: bool) -> None:
        """Write both files; nothing while no trial is complete."""
        if self._study.best is None:
            return
        result = self.result()
        trials = self._study.counted
        # Time under way, of all sessions: trials follow one another, and each has its start and end.
        seconds = sum(
            (trial.datetime_complete - trial.datetime_start).total_seconds()
            for trial in trials
            if trial.datetime_complete is not None and trial.datetime_start is not None
        )
        run_folder.write_yaml(self._folder / run_folder.BEST, result.best_parameters)
        if self._pareto:
            front = front_record(self._study.front, self._pareto, self._space.fixed)
            run_folder.write_json(self._folder / run_folder.PARETO, front)
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
