"""The persistent record of a run's trials: an Optuna study in one append-only file of the run folder.

What a trial's ``user_attrs`` hold is written by :meth:`RunStudy.complete`, :meth:`RunStudy.prune`,
:meth:`RunStudy.add` and :meth:`RunStudy.fail` and read back by :func:`trial_record`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pixelperfect_models.errors import UserError
from tuner import interrupts, journal
from tuner.evaluation import Evaluation
from tuner.pareto import joined_front

STUDY_FILE = "study.log"
STUDY_NAME = "study"
INTERRUPTED = "interrupted"
"""Reason of a trial that Ctrl-C or a kill cut short: it is not counted, and is evaluated again on resuming."""

# Keys of a recipe that may differ when a study is resumed: they say how long to search and how it is called.
_FREE_KEYS = frozenset({"name", "description", "search.trials", "search.starts", "search.timeout"})
_SHOWN_DIFFERENCES = 5


class RunStudy:
    """A study and the rules of this project: what counts, what is best, how a trial is recorded.

    Make one with :meth:`create` or :meth:`resume`; both lock the file against a second run. ``on_record`` is called
    with every counted trial, after it is safely on disk.
    """

    def __init__(self, study: optuna.Study, lock: BinaryIO) -> None:
        self.study = study
        self.on_record: Callable[[FrozenTrial], None] = lambda trial: None
        self._lock = lock
        self._asked: Trial | None = None
        self._counted = [trial for trial in study.get_trials(deepcopy=False) if is_counted(trial)]
        self._best = best_trial(self._counted)
        self._front: list[FrozenTrial] = []
        if len(study.directions) > 1:
            for trial in self._counted:
                self._front = joined_front(self._front, trial, study.directions)

    @classmethod
    def create(cls, folder: Path, recipe: Mapping[str, Any]) -> RunStudy:
        """A new study in ``folder`` that remembers ``recipe``."""
        lock = journal.hold(folder / STUDY_FILE)
        study = optuna.create_study(
            storage=journal.storage(folder / STUDY_FILE), study_name=STUDY_NAME, directions=directions(recipe)
        )
        study.set_user_attr("recipe", dict(recipe))
        return cls(study, lock)

    @classmethod
    def resume(cls, folder: Path, recipe: Mapping[str, Any]) -> RunStudy:
        """The study in ``folder``, mended where a kill left it in the middle of something.

        A line cut off while it was written is dropped; trials that were running become FAIL with the reason
        ``interrupted`` and their parameters are queued to be evaluated again.

        Raises:
            UserError: there is no study, another run holds it, or it is of another recipe.
        """
        path = folder / STUDY_FILE
        if not path.is_file():
            raise UserError(f"{folder}: no {STUDY_FILE} to resume; start without --resume")
        lock = journal.hold(path)
        journal.mend(path)
        storage = journal.storage(path)
        if not optuna.get_all_study_names(storage):  # killed between making the file and the study
            lock.close()
            return cls.create(folder, recipe)
        study = optuna.load_study(storage=storage, study_name=STUDY_NAME)
        stored = study.user_attrs.get("recipe")
        if stored is not None:
            differences = recipe_differences(stored, recipe)
            if differences:
                lock.close()
                more = len(differences) - _SHOWN_DIFFERENCES
                raise UserError(
                    f"{folder}: the run was started with another recipe: {'; '.join(differences[:_SHOWN_DIFFERENCES])}"
                    f"{f'; and {more} more' if more > 0 else ''}. Resume with the stored recipe "
                    f"({folder / 'recipe.yaml'}) or start a new run"
                )
        study.set_user_attr("recipe", dict(recipe))
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            # A trial taken from the queue may have been killed before its parameters were set.
            _interrupt(study, trial.number, trial.system_attrs.get("fixed_params") or trial.params, trial.user_attrs)
        return cls(study, lock)

    def close(self) -> None:
        """Let go of the file."""
        self._lock.close()

    @property
    def counted(self) -> Sequence[FrozenTrial]:
        """The trials that were evaluated or failed, in order; interrupted ones are not among them."""
        return self._counted

    @property
    def best(self) -> FrozenTrial | None:
        """The best completed trial (:func:`best_trial`)."""
        return self._best

    @property
    def front(self) -> Sequence[FrozenTrial]:
        """The Pareto front of the feasible trials, in order; empty where the value is the only objective."""
        return self._front

    @property
    def start(self) -> FrozenTrial | None:
        """The completed trial at the pipeline's defaults; None while there is none, or when it failed."""
        trials = [trial for trial in self._counted if trial.user_attrs.get("role") == "defaults"]
        return next((trial for trial in trials if trial.state == TrialState.COMPLETE), None)

    def enqueue_defaults(self, parameters: Mapping[str, Any]) -> None:
        """Queue the defaults as the first trial of an empty study."""
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(dict(parameters), user_attrs={"role": "defaults"})

    def ask(self, sampler: BaseSampler, distributions: dict[str, BaseDistribution]) -> Trial:
        """The next trial: a queued one, or what ``sampler`` proposes."""
        with interrupts.shielded():
            self.study.sampler = sampler
            trial = self._asked = self.study.ask(distributions)
            if "role" not in trial.user_attrs:
                trial.set_user_attr("role", "search")
        return trial

    def complete(self, trial: Trial, evaluation: Evaluation) -> FrozenTrial:
        """Record the evaluation of a trial from :meth:`ask`."""
        with interrupts.shielded():
            for key, value in evaluation.attributes().items():
                trial.set_user_attr(key, value)
            for name, violation in evaluation.constraints.items():
                trial.set_constraint(name, violation)
            return self._recorded(self.study.tell(trial, evaluation.values))

    def prune(self, trial: Trial, evaluation: Evaluation, predicted: float) -> FrozenTrial:
        """Record a trial from :meth:`ask` that was stopped early: what was seen, and the value ``predicted`` of all.

        ``pruned`` among its attributes holds ``seen`` and ``of`` (pictures), ``partial`` (the mean value of those
        seen) and ``predicted``. It counts, and is never the best.
        """
        seen = len(evaluation.pictures)
        kept = {
            "seen": seen,
            "of": seen + evaluation.left_out,
            "partial": evaluation.value,
            "predicted": predicted,
        }
        with interrupts.shielded():
            for key, value in {**evaluation.attributes(), "pruned": kept}.items():
                trial.set_user_attr(key, value)
            for name, violation in evaluation.constraints.items():
                trial.set_constraint(name, violation)
            trial.report(predicted, step=seen)  # what Optuna keeps as the value of a pruned trial
            return self._recorded(self.study.tell(trial, state=TrialState.PRUNED))

    def fail(self, trial: Trial, reason: str) -> FrozenTrial:
        """Record why a trial from :meth:`ask` could not be evaluated."""
        with interrupts.shielded():
            trial.set_user_attr("reason", reason)
            return self._recorded(self.study.tell(trial, state=TrialState.FAIL))

    def interrupt(self) -> None:
        """Take back the trial from :meth:`ask` that is under way, if any: it does not count and is queued again."""
        with interrupts.shielded():
            if self._asked is not None:
                _interrupt(self.study, self._asked.number, self._asked.params, self._asked.user_attrs)
                self._asked = None

    def add(
        self,
        parameters: Mapping[str, Any],
        distributions: dict[str, BaseDistribution],
        outcome: Evaluation | str,
        started: datetime.datetime,
        attributes: Mapping[str, Any],
    ) -> FrozenTrial:
        """Record, in one write, a trial that no sampler proposed; ``outcome`` is the evaluation or why it failed."""
        failed = isinstance(outcome, str)
        kept = {"reason": outcome} if isinstance(outcome, str) else outcome.attributes()
        trial = create_trial(
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
            values=None if isinstance(outcome, str) else outcome.values,
            params=dict(parameters),
            distributions=distributions,
            user_attrs={**attributes, **kept},
            constraints=None if isinstance(outcome, str) else outcome.constraints,
        )
        trial.datetime_start = started
        with interrupts.shielded():
            self.study.add_trial(trial)
            return self._recorded(self.study.get_trials(deepcopy=False)[-1])

    def _recorded(self, trial: FrozenTrial) -> FrozenTrial:
        self._asked = None
        self._counted.append(trial)
        # The earlier trial first: of equals it stays the best.
        self._best = best_trial([t for t in (self._best, trial) if t is not None])
        if len(self.study.directions) > 1:
            self._front = joined_front(self._front, trial, self.study.directions)
        self.on_record(trial)
        return trial


def open_study(folder: str | Path) -> optuna.Study:
    """The study of a run folder, to read. Raises UserError when the folder holds none."""
    folder = Path(folder)
    if not (folder / STUDY_FILE).is_file():
        raise UserError(f"{folder}: not a run folder, it has no {STUDY_FILE}")
    try:
        return optuna.load_study(storage=journal.storage(folder / STUDY_FILE), study_name=STUDY_NAME)
    except KeyError:
        raise UserError(f"{folder / STUDY_FILE}: no study in this file") from None


def is_counted(trial: FrozenTrial) -> bool:
    """True for a trial that was evaluated or failed by itself, False for one under way, queued or interrupted."""
    return trial.state.is_finished() and trial.user_attrs.get("reason") != INTERRUPTED


def best_trial(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The best completed trial: feasible before infeasible, infeasible by least violation, then by value, then age."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return max(complete, key=_rank, default=None)


def succession(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that were the best when they were recorded, in order: the last is the best."""
    bests: list[FrozenTrial] = []
    for trial in trials:
        if trial.state == TrialState.COMPLETE and (not bests or _rank(trial) > _rank(bests[-1])):
            bests.append(trial)
    return bests


def _rank(trial: FrozenTrial) -> tuple[float, float]:
    violation = sum(max(0.0, amount) for amount in trial.constraints.values())
    value = value_of(trial)
    assert value is not None  # a completed trial has one
    return -violation, value


def value_of(trial: FrozenTrial) -> float | None:
    """The objective's value, the first of a trial's values; None where it was not evaluated."""
    return trial.values[0] if trial.state == TrialState.COMPLETE and trial.values else None


def pictures_of(trial: FrozenTrial) -> tuple[int, int]:
    """How many pictures a trial was evaluated on, and how many it would have been without stopping early."""
    seen = len(trial.user_attrs.get("pictures", ()))
    return seen, trial.user_attrs.get("pruned", {}).get("of", seen)


def directions(recipe: Mapping[str, Any]) -> list[str]:
    """What Optuna is told of a resolved recipe: the value is maximised, the Pareto measures have goals of their own."""
    return ["maximize", *(term["goal"] for term in recipe.get("objective", {}).get("pareto", ()))]


def trial_record(trial: FrozenTrial, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """A trial as plain data, as ``result.json`` keeps it; ``fixed`` joins the searched parameters."""
    attributes = {key: value for key, value in trial.user_attrs.items() if key != "optimizer"}
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": value_of(trial),
        "parameters": {**fixed, **trial.params},
        "constraints": dict(trial.constraints),
        **attributes,
    }


def recipe_differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """What differs between two resolved recipes, one text for each key, leaving out what may differ."""
    old, new = _flat(stored), _flat(given)
    keys = [key for key in dict.fromkeys([*old, *new]) if key not in _FREE_KEYS]
    return [
        f"{key}: stored {_text(old, key)}, now {_text(new, key)}"
        for key in keys
        if old.get(key, _MISSING) != new.get(key, _MISSING)
    ]


_MISSING = object()


def _text(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "nothing"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        pairs = [(f"{prefix}.{key}" if prefix else str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(f"{prefix}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in pairs:
        flat.update(_flat(item, key))
    return flat


def _interrupt(study: optuna.Study, number: int, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
    role = attributes.get("role", "search")
    # Queued first: a second kill in between then costs an evaluation, not a trial.
    if params:
        study.enqueue_trial(dict(params), user_attrs={"role": role})
    trial_id = study.get_trials(deepcopy=False)[number]._trial_id
    study._storage.set_trial_user_attr(trial_id, "reason", INTERRUPTED)  # no public way for a trial of a past process
    study.tell(number, state=TrialState.FAIL)
