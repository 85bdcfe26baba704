"""The persistent record of a run's trials: an Optuna study, in the run's folder or on a server, of one or many workers.

What a trial's ``user_attrs`` hold is written by :meth:`RunStudy.complete`, :meth:`RunStudy.prune`,
:meth:`RunStudy.add` and :meth:`RunStudy.fail` and read back by :func:`trial_record`.
"""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from pixelperfect_models.errors import UserError
from tuner import interrupts, journal
from tuner.claims import INTERRUPTED as INTERRUPTED
from tuner.claims import LOST, MOST_DEATHS, SLOT, Claims
from tuner.claims import is_counted as is_counted
from tuner.evaluation import Evaluation
from tuner.fingerprint import made_differences
from tuner.fingerprint import recipe_differences as recipe_differences
from tuner.liveness import WORKER
from tuner.pareto import joined_front
from tuner.storage import STUDY_FILE as STUDY_FILE
from tuner.storage import STUDY_NAME as STUDY_NAME
from tuner.storage import Store, open_store
from tuner.trials import best_trial as best_trial
from tuner.trials import directions as directions
from tuner.trials import pictures_of as pictures_of
from tuner.trials import succession as succession
from tuner.trials import trial_record as trial_record
from tuner.trials import value_of as value_of

Sampler: TypeAlias = BaseSampler | Callable[[int], BaseSampler]
"""A sampler, or what makes one for a trial's slot (:mod:`tuner.claims`)."""

_SHOWN_DIFFERENCES = 5
_MOST_MOVES = 5
"""A claim that met others so often is given up, so that two cannot run before one another for ever."""


class RunStudy:
    """A study and the rules of this project: what counts, what is best, how a trial is recorded.

    Make one with :meth:`create`, :meth:`resume` or :meth:`join`. Trials of other workers are seen at every
    :meth:`ask`, :meth:`complete` and :meth:`sync`. ``on_record`` is called with every counted trial that is new,
    whoever evaluated it, after it is safely stored.
    """

    def __init__(self, store: Store, lock: BinaryIO | None = None) -> None:
        self.store = store
        self.study = store.load()
        self.on_record: Callable[[FrozenTrial], None] = lambda trial: None
        self._lock = lock
        self._life = store.liveness()
        self._claims = Claims()
        self._asked: int | None = None  # id of the trial under way
        self._defaults: dict[str, Any] | None = None
        self._counted: list[FrozenTrial] = []
        self._best: FrozenTrial | None = None
        self._start: FrozenTrial | None = None
        self._front: list[FrozenTrial] = []
        self.sync()

    @classmethod
    def create(cls, where: Path | Store, recipe: Mapping[str, Any]) -> RunStudy:
        """A new study in a folder or store that remembers ``recipe``.

        Raises:
            UserError: the store has a study of this name already, or another run holds the folder.
        """
        lock = None if isinstance(where, Store) else journal.hold(where / STUDY_FILE)
        store = where if isinstance(where, Store) else open_store(where)
        with interrupts.shielded():
            try:
                study = optuna.create_study(
                    storage=store.storage, study_name=store.study_name, directions=directions(recipe)
                )
            except optuna.exceptions.DuplicatedStudyError:
                raise UserError(
                    f"{store.shown}: has a study '{store.study_name}' already; go on with it by --resume, help it by "
                    f"tuner worker, or choose another --study"
                ) from None
            study.set_user_attr("recipe", dict(recipe))
        return cls(store, lock)

    @classmethod
    def resume(cls, where: Path | Store, recipe: Mapping[str, Any]) -> RunStudy:
        """The study in a folder or store, to go on with.

        Trials whose process is gone become FAIL with the reason ``interrupted``, and their slots are begun again.

        Raises:
            UserError: there is no study, another run holds it, or it is of another recipe.
        """
        lock = None
        if isinstance(where, Path):
            if not (where / STUDY_FILE).is_file():
                raise UserError(f"{where}: no {STUDY_FILE} to resume; start without --resume")
            lock = journal.hold(where / STUDY_FILE)
        try:
            store = where if isinstance(where, Store) else open_store(where)
            if not store.exists():
                if isinstance(where, Store):
                    raise UserError(f"{store.shown}: has no study '{store.study_name}' to resume")
                if lock is not None:  # killed between making the file and the study
                    lock.close()
                return cls.create(where, recipe)
            study = store.load()
            stored = study.user_attrs.get("recipe")
            refuse(store, "recipe", recipe_differences(recipe if stored is None else stored, recipe))
            study.set_user_attr("recipe", dict(recipe))
            resumed = cls(store, lock)
            resumed.mend()
        except BaseException:
            if lock is not None:
                lock.close()
            raise
        return resumed

    def match(self, made_with: Mapping[str, str]) -> None:
        """Refuse to go on with other versions or pictures than the study was made with; a study without a record of
        them gets this one.

        Raises:
            UserError: something differs; names it.
        """
        stored = self.study.user_attrs.get("made_with")
        if not stored:
            self.study.set_user_attr("made_with", dict(made_with))
        else:
            refuse(self.store, "version or pictures", made_differences(stored, made_with))

    def close(self) -> None:
        """Let go of the study; others may go on."""
        self._life.close()
        if self._lock is not None:
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
        return self._start

    @property
    def others(self) -> int:
        """How many trials other workers have under way."""
        return len(self._claims.running) - (self._asked is not None)

    def enqueue_defaults(self, parameters: Mapping[str, Any]) -> None:
        """Make the defaults the first trial of the study."""
        self._defaults = dict(parameters)

    def sync(self) -> None:
        """Take up what other workers have recorded."""
        new = self._claims.read(self.store.trials(self.study))
        for trial in new:
            bisect.insort(self._counted, trial, key=lambda counted: counted.number)
            # The earlier trial first: of equals it stays the best.
            pair = sorted((t for t in (self._best, trial) if t is not None), key=lambda t: t.number)
            self._best = best_trial(pair)
            if self._start is None and trial.state == TrialState.COMPLETE and _role(trial) == "defaults":
                self._start = trial
            if len(self.study.directions) > 1:
                self._front = joined_front(self._front, trial, self.study.directions)
        for trial in new:
            self.on_record(trial)

    def mend(self) -> None:
        """Take back the running trials whose process is gone: they do not count and their slots are begun again.

        Looks at the trials that the last :meth:`sync` has seen.
        """
        for trial in list(self._claims.running.values()):
            if self._life.lost(trial):
                self._take_back(trial._trial_id, lost=True)

    def ask(
        self, sampler: Sampler, distributions: dict[str, BaseDistribution], budget: int | None = None
    ) -> Trial | None:
        """The next trial: one that was cut short, the defaults, or what ``sampler`` proposes.

        None when each slot of the budget is filled, or held by a worker that lives: it may yet die, so ask again
        until as many trials are :attr:`counted`.
        """
        while True:
            with interrupts.shielded():
                claimed = self._claim(budget)
                if claimed is None:
                    return None
                trial_id, slot = claimed
                self.study.sampler = sampler if isinstance(sampler, BaseSampler) else sampler(slot)
                trial = Trial(self.study, trial_id)
                given_up = self._claims.deaths(slot) >= MOST_DEATHS
                if not given_up or self._claims.cut_short(slot) is not None:
                    with self.store.gathered():
                        for name, distribution in distributions.items():
                            _suggest(trial, name, distribution)
                if not given_up:
                    return trial
                self.fail(trial, f"the process that evaluates it died {MOST_DEATHS} times")

    def complete(self, trial: Trial, evaluation: Evaluation) -> FrozenTrial:
        """Record the evaluation of a trial from :meth:`ask`.

        Returns the trial as stored. Where other workers took this one for dead and took its trial back, the
        evaluation is dropped, and the trial returned is the interrupted one.
        """

        def tell() -> None:
            for key, value in evaluation.attributes().items():
                trial.set_user_attr(key, value)
            for name, violation in evaluation.constraints.items():
                trial.set_constraint(name, violation)
            self.study.tell(trial, evaluation.values, skip_if_finished=True)

        return self._finish(trial, tell)

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

        def tell() -> None:
            for key, value in {**evaluation.attributes(), "pruned": kept}.items():
                trial.set_user_attr(key, value)
            for name, violation in evaluation.constraints.items():
                trial.set_constraint(name, violation)
            trial.report(predicted, step=seen)  # what Optuna keeps as the value of a pruned trial
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

        return self._finish(trial, tell)

    def fail(self, trial: Trial, reason: str) -> FrozenTrial:
        """Record why a trial from :meth:`ask` could not be evaluated."""

        def tell() -> None:
            trial.set_user_attr("reason", reason)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

        return self._finish(trial, tell)

    def interrupt(self) -> None:
        """Take back the trial from :meth:`ask` that is under way, if any: it does not count and is begun again."""
        with interrupts.shielded():
            if self._asked is not None:
                self._life.end()
                self._take_back(self._asked)
                self._asked = None

    def add(
        self,
        parameters: Mapping[str, Any],
        distributions: dict[str, BaseDistribution],
        outcome: Evaluation | str,
        started: datetime.datetime,
        attributes: Mapping[str, Any],
    ) -> FrozenTrial:
        """Record, in one write, a trial that no sampler proposed; ``outcome`` is the evaluation or why it failed.

        For strategies of one worker.
        """
        failed = isinstance(outcome, str)
        kept = {"reason": outcome} if isinstance(outcome, str) else outcome.attributes()
        trial = create_trial(
            state=TrialState.FAIL if failed else TrialState.COMPLETE,
            values=None if isinstance(outcome, str) else outcome.values,
            params=dict(parameters),
            distributions=distributions,
            user_attrs={**attributes, **kept},
            system_attrs={SLOT: next(self._claims.free()), WORKER: self._life.worker},
            constraints=None if isinstance(outcome, str) else outcome.constraints,
        )
        trial.datetime_start = started
        with interrupts.shielded():
            self.study.add_trial(trial)
            self.sync()
            return self._counted[-1]

    def _claim(self, budget: int | None) -> tuple[int, int] | None:
        """A new running trial in a slot that nobody else holds: (trial's id, slot); None when there is no slot left.

        The trial is written first and looked at after that. So of two that want one slot at least one sees the other;
        who sees another leaves the slot, and the one of them that did not keeps it.
        """
        self.sync()
        self.mend()
        slot = next(self._claims.free(budget), None)
        if slot is None:
            return None
        role, fixed = self._planned(slot)
        attributes = {SLOT: slot, WORKER: self._life.worker, "fixed_params": fixed}
        template = create_trial(state=TrialState.RUNNING, user_attrs={"role": role}, system_attrs=attributes)
        storage, study_id = self.store.storage, self.study._study_id
        self._asked = trial_id = storage.create_new_trial(study_id, template)
        self._life.begin(trial_id)
        number = storage.get_trial(trial_id).number
        self.sync()
        moves = 0
        while self._claims.rivals(number):
            rank = self._claims.rank(number)
            free = [slot for slot, _ in zip(self._claims.free(budget), range(rank + 1), strict=False)]
            if not free or moves == _MOST_MOVES:
                self.interrupt()
                return None
            slot, moves = free[rank % len(free)], moves + 1
            role, fixed = self._planned(slot)
            storage.set_trial_user_attr(trial_id, "role", role)
            storage.set_trial_system_attr(trial_id, "fixed_params", fixed)
            storage.set_trial_system_attr(trial_id, SLOT, slot)
            self.sync()
        again = self._claims.cut_short(slot)
        if again is not None:  # what its sampler noted of it, such as the generation it is of
            for key, value in again.system_attrs.items():
                if key != "fixed_params" and not key.startswith("tuner:"):
                    storage.set_trial_system_attr(trial_id, key, value)
        return trial_id, slot

    def _planned(self, slot: int) -> tuple[str, dict[str, Any]]:
        """Role of a slot's trial, and its parameters where they are known before a sampler is asked."""
        again = self._claims.cut_short(slot)
        if slot == 0 and self._defaults is not None:
            return "defaults", self._defaults
        return ("search", {}) if again is None else (_role(again), dict(again.params))

    def _finish(self, trial: Trial, tell: Callable[[], None]) -> FrozenTrial:
        with interrupts.shielded():
            try:
                with self.store.grouped():
                    tell()
            except UpdateFinishedTrialError:
                pass  # taken back a moment ago
            self._life.end()
            self._asked = None
            self._settle()
            return self.store.storage.get_trial(trial._trial_id)

    def _take_back(self, trial_id: int, lost: bool = False) -> None:
        storage = self.store.storage
        try:
            with self.store.grouped():
                storage.set_trial_user_attr(trial_id, "reason", INTERRUPTED)
                if lost:
                    storage.set_trial_system_attr(trial_id, LOST, True)
                storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            pass  # it ended, or another worker took it back
        self._settle()

    def _settle(self) -> None:
        """Sync. Optuna's journal complains once for each of this process's lines that came too late."""
        while True:
            try:
                self.sync()
                return
            except UpdateFinishedTrialError:
                continue


def refuse(store: Store, what: str, differences: Sequence[str]) -> None:
    """Raise UserError when there are differences between a stored study and what would go on with it."""
    if not differences:
        return
    more = len(differences) - _SHOWN_DIFFERENCES
    stored = (
        "what it was started with" if store.folder is None else f"the stored recipe ({store.folder / 'recipe.yaml'})"
    )
    raise UserError(
        f"{store.shown}: the run was started with another {what}: {'; '.join(differences[:_SHOWN_DIFFERENCES])}"
        f"{f'; and {more} more' if more > 0 else ''}. Go on with {stored}, or start a new run"
    )


def open_study(folder: str | Path) -> optuna.Study:
    """The study of a run folder, to read. Raises UserError when the folder holds none."""
    folder = Path(folder)
    if not (folder / STUDY_FILE).is_file():
        raise UserError(f"{folder}: not a run folder, it has no {STUDY_FILE}")
    try:
        return open_store(folder).load()
    except KeyError:
        raise UserError(f"{folder / STUDY_FILE}: no study in this file") from None


def _role(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get("role", "search"))


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> None:
    if isinstance(distribution, FloatDistribution):
        trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    else:
        assert isinstance(distribution, CategoricalDistribution)
        trial.suggest_categorical(name, distribution.choices)
