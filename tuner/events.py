"""``tuner run --json``: what happens in a run as lines of JSON, one object a line, for programs that watch it.

Every object has ``event`` and ``time`` (ISO 8601, UTC). The keys of each event are listed in docs/events.md and checked
against it by a test. Numbers that are not finite become null.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from optuna.trial import FrozenTrial, TrialState

from tuner.json_numbers import finite
from tuner.recipe import Recipe
from tuner.run_folder import RESULT
from tuner.study import value_of
from tuner.trial_words import state_word


class EventLines:
    """Writes the events of one run.

    Args:
        stream: where the lines go; flushed after each, so that a reader sees a trial when it is done.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._total = self._done = 0
        self._best: int | None = None
        self._fixed: dict[str, Any] = {}

    def started(self, folder: Path, recipe: Recipe, total: int, done: int, best: FrozenTrial | None) -> None:
        """The search begins: ``done`` of ``total`` trials are there already, ``best`` the best of them."""
        self._total, self._done, self._fixed = total, done, dict(recipe.pipeline.fixed)
        self._best = None if best is None else best.number
        self._emit(
            "started",
            name=recipe.name or "run",
            run_dir=str(folder),
            pipeline=recipe.pipeline.name,
            strategy=recipe.search.strategy,
            sampler=getattr(recipe.search, "sampler", None),
            parameters=list(recipe.pipeline.search),
            objectives=["value", *(term.measure for term in recipe.objective.pareto)],
            pictures=len(recipe.pairs),
            trials=total,
            done=done,
        )

    def update(self, trial: FrozenTrial, best: FrozenTrial | None, front: int = 0) -> None:
        """A trial was recorded; ``best`` and ``front`` (trials on the Pareto front) are those so far."""
        self._done += 1
        complete = trial.state == TrialState.COMPLETE
        self._emit(
            "trial",
            number=trial.number,
            state=state_word(trial),
            values=list(trial.values) if complete else None,
            score=trial.user_attrs.get("score") if complete else None,
            parameters={**self._fixed, **trial.params},
            constraints=dict(trial.constraints),
            measures=dict(trial.user_attrs.get("measures", {})),
            seconds=trial.user_attrs.get("seconds"),
            reason=trial.user_attrs.get("reason"),
            done=self._done,
            trials=self._total,
            front=front,
        )
        if best is not None and best.number != self._best:
            self._best = best.number
            self._emit(
                "best",
                number=best.number,
                value=value_of(best),
                feasible=state_word(best) == "complete",
                parameters={**self._fixed, **best.params},
            )

    def finished(self, folder: Path, report: Path) -> None:
        """The run in ``folder`` is done, and its report written."""
        record = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        kept = ("trials", "failed", "seconds", "trials_per_second", "start", "best")
        self._emit("finished", run_dir=str(folder), report=str(report), **{key: record[key] for key in kept})

    def stopped(self) -> None:
        """Ctrl-C or SIGTERM: all finished trials are on disk, and ``--resume`` goes on."""
        self._emit("stopped", done=self._done, trials=self._total)

    def failed(self, reason: str) -> None:
        """The run came to nothing."""
        self._emit("failed", reason=reason)

    def _emit(self, event: str, **keys: Any) -> None:
        line = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **keys}
        print(json.dumps(finite(line), ensure_ascii=False, allow_nan=False), file=self._stream, flush=True)
