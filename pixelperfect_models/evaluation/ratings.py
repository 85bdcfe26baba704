"""The judge's score against human ratings, beside classical metrics. For measurement only: nothing is fitted.

What is asked of each picture is here, which pictures there are in :mod:`.datasets`, and how the answers agree with
people in :mod:`.agreement`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.evaluation.agreement import Rated, agreement
from pixelperfect_models.evaluation.answer_cache import AnswerCache, judge_answerer, metric_answerers
from pixelperfect_models.evaluation.classical import (
    CONSENSUS_WEIGHTS,
    METRICS,
    classical_metrics,
    rank_consensus,
)
from pixelperfect_models.evaluation.datasets import LAYOUTS, Rating, read_dataset
from pixelperfect_models.images import read_image

JUDGE, JUDGE_RELATIONAL, CONSENSUS = "judge", "judge, relational", "consensus"


def evaluate_ratings(
    folder: str | Path,
    judge: Any,
    metrics: Sequence[str] = tuple(METRICS),
    progress: Callable[[int, int], None] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    dataset: str | None = None,
    cache: str | Path | None = None,
    parameters: int = 4,
) -> dict[str, Any]:
    """Agreement with human ratings of the judge and of classical metrics, on the same pictures in one run.

    Args:
        folder: a rated set in a layout of :data:`.datasets.LAYOUTS`.
        judge: what has ``prepare(ref)`` and ``difference(test, prepared)`` (how far apart two pictures look, not
            negative), of which the row :data:`JUDGE` is minus that, since a rated set says which picture is the
            original; and ``score(test, prepared)``, which must find that out, as :data:`JUDGE_RELATIONAL`. Without
            ``difference`` the score is the only row.
        metrics: names in :data:`.classical.METRICS`; all four of the consensus give it a row of its own.
        progress: called with (pictures done, all pictures).
        bootstrap, seed: the draws for the 95 % intervals.
        dataset: the layout to read the folder by; None to recognise it.
        cache: a folder where every picture's answers are kept as they come; a later run takes them from there.
        parameters: 4 or 5, of the logistic function in front of PLCC and RMSE.

    Returns:
        what :func:`.agreement.agreement` gives, and ``dataset``, ``title``, ``orientation``, ``folder``,
        ``pictures`` (how many), ``references``, and ``rows``: for each picture ``distorted``, ``reference``
        (relative to the folder), ``type``, ``level``, ``mos`` and ``answers`` (method -> number). All answers are
        turned so that higher is better.

    Raises:
        UserError: an unknown metric, a folder that is no rated set, or a picture that cannot be read or has another
            size than its reference.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise UserError(f"no metric {unknown[0]!r}, expected one of {', '.join(METRICS)}{suggest(unknown[0], METRICS)}")
    name, rows = read_dataset(folder, dataset)
    answers = _answers(rows, judge, tuple(metrics), AnswerCache(cache) if cache is not None else None, progress)
    if all(metric in answers for metric in CONSENSUS_WEIGHTS):
        # Turned already: the ranks below turn again, so undo it.
        answers[CONSENSUS] = rank_consensus({m: METRICS[m][1] * answers[m] for m in CONSENSUS_WEIGHTS})
    first = [method for method in (JUDGE, JUDGE_RELATIONAL, CONSENSUS) if method in answers]
    answers = {method: answers[method] for method in (*first, *metrics)}
    rated = Rated(np.array([row.mos for row in rows]), [row.type for row in rows], [row.content for row in rows])
    base = Path(folder)
    return {
        "dataset": name,
        "title": f"{base.resolve().name} (ratings.csv)" if name == "ratings" else LAYOUTS[name].title,
        "orientation": LAYOUTS[name].orientation,
        "folder": str(folder),
        "pictures": len(rows),
        "references": len({row.reference for row in rows}),
        **agreement(rated, answers, parameters, bootstrap, seed, compare=JUDGE),
        "rows": [
            {
                "distorted": _relative(row.distorted, base),
                "reference": _relative(row.reference, base),
                "type": row.type,
                "level": row.level,
                "mos": row.mos,
                "answers": {method: float(column[place]) for method, column in answers.items()},
            }
            for place, row in enumerate(rows)
        ],
    }


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _answers(
    rows: Sequence[Rating],
    judge: Any,
    metrics: tuple[str, ...],
    cache: AnswerCache | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, np.ndarray]:
    """Method -> (n,) answers in the order of ``rows``, higher is better."""
    keys = metric_answerers(metrics)
    digest = judge_answerer(judge) if cache is not None else None
    judged = (JUDGE, JUDGE_RELATIONAL) if hasattr(judge, "difference") else (JUDGE,)
    if digest is not None:
        keys.update({method: f"{method}@{digest}" for method in judged})
    values: dict[str, np.ndarray] = {method: np.full(len(rows), np.nan) for method in (*judged, *metrics)}
    # References one after the other: each is read and prepared once, and one is held at a time.
    order = sorted(range(len(rows)), key=lambda place: str(rows[place].reference))
    pair = _Pair(judge)
    for done, place in enumerate(order, start=1):
        row = rows[place]
        kept = cache.get(row.distorted, row.reference) if cache is not None else {}
        found = {method: kept[key] for method, key in keys.items() if key in kept}
        missing = tuple(method for method in values if method not in found)
        if missing:
            fresh = pair.ask(row, missing)
            if cache is not None and (
                new := {keys[method]: value for method, value in fresh.items() if method in keys}
            ):
                cache.put(row.distorted, row.reference, new)
            found.update(fresh)
        for method, value in found.items():
            values[method][place] = METRICS[method][1] * value if method in METRICS else value
        if progress:
            progress(done, len(rows))
    return values


class _Pair:
    """Asks judge and metrics about one picture at a time, and keeps the last reference."""

    def __init__(self, judge: Any) -> None:
        self.judge = judge
        self.path: Path | None = None
        self.image = torch.empty(0)
        self.state: Any = None

    def ask(self, row: Rating, methods: Sequence[str]) -> dict[str, float]:
        """Method -> number: the judge's higher is better, the metrics' as piq defines them."""
        if row.reference != self.path:
            self.path, self.image, self.state = row.reference, read_image(row.reference), None
        test = read_image(row.distorted)
        if test.shape != self.image.shape:
            (height, width), (expected_height, expected_width) = test.shape[-2:], self.image.shape[-2:]
            raise UserError(
                f"{row.distorted}: {width} x {height} pixels, expected {expected_width} x {expected_height} as its "
                f"reference {row.reference.name}"
            )
        wanted = tuple(method for method in methods if method in METRICS)
        found = {method: value[0] for method, value in classical_metrics(test, self.image, wanted).items()}
        with torch.no_grad():
            if self.state is None and len(wanted) < len(methods):
                self.state = self.judge.prepare(self.image)
            for method in methods:
                if method == JUDGE and hasattr(self.judge, "difference"):
                    found[method] = -float(self.judge.difference(test, self.state))
                elif method in (JUDGE, JUDGE_RELATIONAL):
                    found[method] = float(self.judge.score(test, self.state))
        return found
