"""A worker: evaluates trials of a study that is there already, beside others that do."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna

from pixelperfect_models.errors import UserError
from tuner import interrupts
from tuner.fingerprint import fingerprint
from tuner.moved import moved
from tuner.objective import Judge
from tuner.recipe_file import load_recipe
from tuner.runner import prepare
from tuner.search.base import Task, check_shared
from tuner.search.table import strategy
from tuner.storage import Store
from tuner.study import RunStudy


def work(
    store: Store,
    places: Mapping[str, str] | str | None = None,
    limit: int | None = None,
    judge: Judge | None = None,
    on_ready: Callable[[str, int], None] = lambda name, budget: None,
) -> int:
    """Evaluate trials of a study that is there already until its budget is spent; returns how many it evaluated.

    Args:
        store: where the study is. The recipe is in it.
        places: where the pictures lie on this machine, where that is not what the recipe says (:mod:`tuner.moved`).
        limit: evaluate at most so many trials.
        judge: instead of the recipe's own.
        on_ready: called with the run's name and the study's budget when the first trial begins.

    Raises:
        UserError: there is no such study, a picture is missing or another, this program is of another version than
            the one that made the study, or its strategy is one that workers cannot share.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, when the trial under way is given back.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not store.exists():
        raise UserError(f"{store.shown}: has no study '{store.study_name}'; start it by tuner run --storage")
    stored = store.load().user_attrs.get("recipe")
    if stored is None:
        raise UserError(f"{store.shown}: study '{store.study_name}' holds no recipe, expected one that tuner run made")
    recipe = load_recipe(moved(stored, places))
    search = strategy(recipe.search.strategy)
    objective, space = prepare(recipe, judge)
    check_shared(search, objective, recipe.search.strategy)
    study = RunStudy(store)
    try:
        study.match(fingerprint(recipe, objective.pipeline, objective.judge))
        # Strategies that keep files of their own are not shared.
        folder = store.folder or Path(tempfile.gettempdir())
        task = Task(objective, space, study, recipe.search, search.budget(space, recipe.search), folder, limit)
        on_ready(recipe.name, task.budget)
        with interrupts.handled():
            try:
                search.run(task)
            finally:
                study.interrupt()
        return task.evaluated
    finally:
        study.close()


def end_with_parent() -> None:
    """Stop this process as SIGTERM does when its standard input, held open by the parent, is closed."""

    def watch() -> None:
        # Past Python's buffer, whose lock a thread that waits in it would still hold when the interpreter ends.
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
