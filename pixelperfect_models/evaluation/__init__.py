"""Measuring the judges: against human ratings and against planted distortions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import SUFFIXES

if TYPE_CHECKING:
    from pixelperfect_models.judge import PixelPerfect

PLANTED = "planted"
"""The name, beside those of the rated sets, for planting distortions in a folder of photos."""


def evaluate(
    folder: str | Path,
    judge: PixelPerfect | None = None,
    progress: Callable[[int, int], None] | None = None,
    dataset: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Measure the judge on a folder: against people where it is a human-rated set, else on planted distortions.

    Args:
        folder: a set in one of the layouts of :data:`.datasets.LAYOUTS`, or photos.
        judge: None for the shipped one.
        progress: called with (done, all).
        dataset: a layout's name, or ``planted``; None to recognise the folder. Photos that lie in it directly make
            it a folder of photos.
        options: ``metrics``, ``bootstrap``, ``seed``, ``cache`` and ``parameters`` of
            :func:`.ratings.evaluate_ratings`.

    Returns what :func:`.ratings.evaluate_ratings` or :func:`.planted.evaluate_planted` gives, with ``kind``
    (``ratings`` or ``planted``) naming which. Raises UserError for a folder that is neither.
    """
    from pixelperfect_models.evaluation.datasets import detect_dataset, not_recognised

    name = dataset if dataset is not None else detect_dataset(folder)
    if name is None:
        if not any(path.suffix.lower() in SUFFIXES for path in Path(folder).iterdir()):
            raise UserError(
                f"{not_recognised(folder)}\nNor are there photos in it to plant distortions in (--dataset {PLANTED} "
                "takes those of its subfolders)."
            )
        name = PLANTED
    if judge is None:
        from pixelperfect_models.judge import PixelPerfect

        judge = PixelPerfect.from_pretrained()
    if name == PLANTED:
        from pixelperfect_models.evaluation.planted import evaluate_planted

        return {"kind": PLANTED, **evaluate_planted(folder, judge, progress=progress)}
    from pixelperfect_models.evaluation.ratings import evaluate_ratings

    return {"kind": "ratings", **evaluate_ratings(folder, judge, progress=progress, dataset=name, **options)}
