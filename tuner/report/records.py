"""What the report takes from a run's folder: the record of every trial, the result, the recipe, the environment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import yaml

from pixelperfect_models.errors import UserError
from tuner.study import open_study, value_of
from tuner.trial_words import state_word


@dataclass(frozen=True)
class TrialRow:
    """One trial as the report shows it.

    Attributes:
        number: Optuna's trial number.
        state: as :func:`tuner.trial_words.state_word` names it.
        value: the objective; None unless it was evaluated.
        score: mean score over the pictures, before its weight.
        parameters: the searched parameters.
        measures: what the pipeline reported, means over the pictures.
        seconds: wall time of the evaluation.
        note: why it failed or was stopped, or which start and step of a gradient search it is.
        values: all objectives, the value first; empty unless it was evaluated.
        statistics: distortion type to mean, p95 and max, as :class:`tuner.evaluation.Evaluation` has them.
    """

    number: int
    state: str
    value: float | None
    score: float | None
    parameters: dict[str, Any]
    measures: dict[str, float]
    seconds: float | None
    note: str
    values: tuple[float, ...] = ()
    statistics: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecords:
    """A run's folder, read.

    ``start`` and ``best`` are the records that tuner/study.py describes; ``recipe`` is the resolved recipe as a
    mapping and ``recipe_text`` the same as YAML.
    """

    folder: Path
    study: optuna.Study
    trials: tuple[TrialRow, ...]
    result: dict[str, Any]
    recipe: dict[str, Any]
    recipe_text: str
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def start(self) -> dict[str, Any]:
        """The record of the pipeline's defaults."""
        return self.result["start"]

    @property
    def best(self) -> dict[str, Any]:
        """The record of the best trial."""
        return self.result["best"]

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the searched parameters, in the recipe's order."""
        return tuple(self.recipe["pipeline"]["search"])


def read_run(run_dir: str | Path) -> RunRecords:
    """Read a run's folder.

    Raises:
        UserError: it is not a run's folder, or the run stopped before its first trial was done.
    """
    folder = Path(run_dir)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder")
    for name in ("recipe.yaml", "study.log", "result.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: holds no {name}; expected the folder of a run with at least one finished trial")
    text = (folder / "recipe.yaml").read_text(encoding="utf-8")
    environment = folder / "environment.json"
    study = open_study(folder)
    return RunRecords(
        folder=folder.resolve(),
        study=study,
        trials=tuple(trial_row(trial) for trial in study.get_trials(deepcopy=False)),
        result=_json(folder / "result.json"),
        recipe=yaml.safe_load(text),
        recipe_text=text,
        environment=_json(environment) if environment.is_file() else {},
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: broken JSON ({error})") from None


def trial_row(trial: optuna.trial.FrozenTrial) -> TrialRow:
    """One trial of the study as a row."""
    attributes = trial.user_attrs
    note = str(attributes.get("reason", ""))
    complete = trial.state == optuna.trial.TrialState.COMPLETE
    if attributes.get("role") == "defaults":
        note = note or "pipeline defaults"
    elif "step" in attributes and complete:
        note = f"start {attributes['start']}, step {attributes['step']}"
    elif trial.state == optuna.trial.TrialState.PRUNED:
        seen = len(trial.intermediate_values)
        note = note or f"stopped after {seen} picture{'' if seen == 1 else 's'}"
    return TrialRow(
        number=trial.number,
        state=state_word(trial),
        value=value_of(trial),
        score=attributes.get("score"),
        parameters=dict(trial.params),
        measures=dict(attributes.get("measures", {})),
        seconds=attributes.get("seconds"),
        note=note,
        values=tuple(trial.values) if complete else (),
        statistics=dict(attributes.get("statistics", {})),
    )


def best_so_far(trials: tuple[TrialRow, ...]) -> list[tuple[int, float]]:
    """The best value after each trial that improved it, as (trial number, value).

    Trials that break a constraint do not count.
    """
    steps: list[tuple[int, float]] = []
    for trial in trials:
        if trial.state == "complete" and trial.value is not None and (not steps or trial.value > steps[-1][1]):
            steps.append((trial.number, trial.value))
    return steps
