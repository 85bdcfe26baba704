"""One run: from a recipe to the best parameters, in a folder that tells how they were found."""

from __future__ import annotations

import time
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console

import pipelines
from pixelperfect_models.errors import PixelPerfectError
from tuner import interrupts, run_folder
from tuner.events import EventLines
from tuner.fingerprint import fingerprint
from tuner.live import Progress
from tuner.objective import Judge, Objective
from tuner.parameter_space import ParameterSpace
from tuner.pictures import read_penalties, read_pictures
from tuner.place import Place
from tuner.pool import Pool
from tuner.recipe import Recipe
from tuner.recipe_search import SweepSearch
from tuner.report.sweep_page import write_sweep_page
from tuner.results import Keeper
from tuner.results import Result as Result
from tuner.search.base import Task, check_shared
from tuner.search.table import strategy
from tuner.study import RunStudy

_LOOK = 0.3
"""Seconds between two looks at what the workers have done."""


class RunFailed(PixelPerfectError):
    """Every trial of the run failed."""


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
    workers: int = 1,
    storage: str | None = None,
    study_name: str | None = None,
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
        workers: this many processes on this machine evaluate; 1: this process does.
        storage: URL of a server that keeps the study (:func:`tuner.storage.open_store`). Default: the run's folder.
        study_name: the study's name there. Default: the recipe's name and the time.

    Raises:
        UserError: something in recipe or folder is wrong; nothing was searched.
        RunFailed: every trial failed; names the first reason.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when all finished trials and the best parameters are on disk.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = strategy(recipe.search.strategy)
    name, resolved = recipe.name or "run", recipe.resolved()
    place = Place(name, out_dir, storage, study_name)
    study: RunStudy | None = None
    try:
        if resume:  # first, since loading the judge takes longer than finding that there is nothing to resume
            study = place.resume(resolved)
        else:
            place.connect()
        objective, space = prepare(recipe, judge)
        search.check(objective, space, recipe.search)
        if workers > 1:
            check_shared(search, objective, recipe.search.strategy)
        if study is None:  # last, so that a recipe that is refused leaves no folder behind
            study = place.create(resolved)
        folder = place.folder
        study.match(fingerprint(recipe, objective.pipeline, objective.judge))
        run_folder.write_yaml(folder / run_folder.RECIPE, resolved)
        if not (folder / run_folder.ENVIRONMENT).exists():
            run_folder.write_json(folder / run_folder.ENVIRONMENT, run_folder.environment())
        task = Task(objective, space, study, recipe.search, search.budget(space, recipe.search), folder)
        keeper = Keeper(folder, study, space, recipe)
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
                if workers > 1:
                    with Pool(folder, place.url or str(folder), study.store.study_name, workers) as pool:
                        # The recipe's timeout is the workers' to keep: they finish the trials under way.
                        while len(study.counted) < task.budget and pool.working():
                            time.sleep(_LOOK)
                            study.sync()
                            study.mend()
                else:
                    search.run(task)
            except BaseException:  # Ctrl-C, or an error that is not the pipeline's: the trial may be tried again
                with interrupts.shielded():
                    study.interrupt()
                    study.sync()
                    study.mend()
                    keeper.write(interrupted=True)
                    place.keep_copy(study)
                raise
        if study.best is None:
            failed = len(study.counted)
            reason = study.counted[0].user_attrs.get("reason", "unknown") if failed else "there was no time for one"
            raise RunFailed(f"{folder}: all {failed} trials failed; the first: {reason}")
        keeper.write(interrupted=False)
        place.keep_copy(study)
        result = keeper.result()
        if isinstance(recipe.search, SweepSearch):
            write_sweep_page(folder, recipe, space, study.counted)
        run_folder.write_pictures(folder, objective, result.best_parameters, result.start["parameters"])
        return result
    finally:
        if study is not None:
            study.close()
