"""Who evaluates what: each trial of a study fills one slot of its budget, and no slot is filled twice.

A budget of N trials is N slots, numbered from 0. A trial's slot is in its ``system_attrs``. Slot 0 are the pipeline's
defaults; the random numbers of every other trial come from the recipe's seed and its slot, so that a slot begun again
after a kill, or by another worker, is the trial that it would have been.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optuna.trial import FrozenTrial, TrialState

SLOT = "tuner:slot"
LOST = "tuner:lost"
"""Keys of a trial's ``system_attrs``: its slot; and that its process died."""
INTERRUPTED = "interrupted"
"""Reason of a trial that Ctrl-C or a kill cut short: it is not counted, and its slot is begun again."""
MOST_DEATHS = 4
"""So often may the process that evaluates a slot die; then the slot's trial counts as failed."""


def is_counted(trial: FrozenTrial) -> bool:
    """True for a trial that was evaluated or failed by itself, False for one under way, queued or interrupted."""
    if trial.state == TrialState.FAIL:
        return trial.user_attrs.get("reason") != INTERRUPTED
    return trial.state.is_finished()


class Claims:
    """The slots of a study, kept up with its trials at a cost that does not grow with them.

    Attributes:
        running: the trials under way, by number.
    """

    def __init__(self) -> None:
        self.running: dict[int, FrozenTrial] = {}
        self._seen = 0
        self._unfinished: set[int] = set()
        self._lowest = 0  # below it all slots are filled by counted trials
        self._slots: dict[int, int] = {}  # of trials that are counted or under way: number to slot
        self._holders: dict[int, set[int]] = {}
        self._filled: set[int] = set()
        self._cut_short: dict[int, list[FrozenTrial]] = {}

    def read(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Take up all trials of the study, in the order of their numbers; returns those that count and are new."""
        counted = []
        for number in sorted(self._unfinished.union(range(self._seen, len(trials)))):
            trial = trials[number]
            slot = trial.system_attrs.get(SLOT)
            if not trial.state.is_finished():
                self._unfinished.add(number)
                if trial.state == TrialState.RUNNING:
                    self.running[number] = trial
                    if slot is not None:
                        self._hold(number, slot)
                continue
            self._unfinished.discard(number)
            self.running.pop(number, None)
            if is_counted(trial):
                slot = next(self.free()) if slot is None else slot  # of another program
                self._hold(number, slot)
                self._filled.add(slot)
                counted.append(trial)
            else:
                self._release(number)
                if slot is not None:
                    self._cut_short.setdefault(slot, []).append(trial)
        self._seen = len(trials)
        while self._lowest in self._filled:
            self._lowest += 1
        return counted

    def free(self, budget: int | None = None) -> Iterator[int]:
        """The slots that no trial fills or is about to fill, lowest first."""
        slot = self._lowest
        while budget is None or slot < budget:
            if not self._holders.get(slot):
                yield slot
            slot += 1

    def rivals(self, number: int) -> list[int]:
        """The other trials in this trial's slot."""
        return sorted(self._holders.get(self._slots.get(number, -1), set()) - {number})

    def rank(self, number: int) -> int:
        """How many trials of lower number share their slot with another too, and will look for one of their own."""
        return sum(1 for other in self.running if other < number and self.rivals(other))

    def cut_short(self, slot: int) -> FrozenTrial | None:
        """The last interrupted trial of this slot: its parameters are to be evaluated again."""
        trials = [trial for trial in self._cut_short.get(slot, ()) if trial.params]
        return trials[-1] if trials else None

    def deaths(self, slot: int) -> int:
        """How many processes died on this slot."""
        return sum(1 for trial in self._cut_short.get(slot, ()) if trial.system_attrs.get(LOST))

    def _hold(self, number: int, slot: int) -> None:
        if self._slots.get(number) != slot:
            self._release(number)
            self._slots[number] = slot
            self._holders.setdefault(slot, set()).add(number)

    def _release(self, number: int) -> None:
        slot = self._slots.pop(number, None)
        if slot is not None:
            self._holders[slot].discard(number)
