"""Measuring the judges: against human ratings and against planted distortions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelperfect_models.judge import PixelPerfect


def evaluate(
    folder: str | Path, judge: PixelPerfect | None = None, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Measure the judge on a folder: human ratings where it holds ``ratings.csv``, else planted distortions.

    Returns what :func:`.ratings.evaluate_ratings` or :func:`.planted.evaluate_planted` gives, with ``kind`` naming
    which. Raises UserError for a folder that is neither.
    """
    from pixelperfect_models.judge import PixelPerfect

    judge = judge if judge is not None else PixelPerfect.from_pretrained()
    if (Path(folder) / "ratings.csv").is_file():
        from pixelperfect_models.evaluation.ratings import evaluate_ratings

        return {"kind": "ratings", **evaluate_ratings(folder, judge, progress=progress)}
    from pixelperfect_models.evaluation.planted import evaluate_planted

    return {"kind": "planted", **evaluate_planted(folder, judge, progress=progress)}
