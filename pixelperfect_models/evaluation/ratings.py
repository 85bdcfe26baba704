"""The judge's score against human ratings, beside classical metrics. For measurement only: nothing is fitted.

A rated folder holds ``ratings.csv`` with the columns ``distorted``, ``reference`` (paths relative to the folder),
``type``, ``level`` and ``mos`` (higher is better).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.classical import METRICS, classical_metrics
from pixelperfect_models.images import read_image
from pixelperfect_models.judge import PixelPerfect, Reference

COLUMNS = ("distorted", "reference", "type", "level", "mos")


@dataclass(frozen=True)
class Rating:
    distorted: Path
    reference: Path
    type: str
    level: int
    mos: float


def read_ratings(folder: str | Path) -> list[Rating]:
    """The rows of ``folder/ratings.csv``. Raises UserError: file or column missing, or a value that is no number."""
    file = Path(folder) / "ratings.csv"
    if not file.is_file():
        raise UserError(f"{file}: no such file; expected a CSV with the columns {', '.join(COLUMNS)}")
    rows = []
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise UserError(f"{file}: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}")
        for number, row in enumerate(reader, start=2):
            try:
                level, mos = int(row["level"]), float(row["mos"])
            except ValueError as error:
                raise UserError(f"{file}:{number}: {error}; level is an integer, mos a number") from None
            base = file.parent
            rows.append(Rating(base / row["distorted"], base / row["reference"], row["type"], level, mos))
    return rows


def evaluate_ratings(
    folder: str | Path,
    judge: PixelPerfect,
    metrics: tuple[str, ...] = tuple(METRICS),
    progress: Callable[[int, int], None] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Rank correlation with the ratings of the judge and of classical metrics, on the same pictures.

    Returns:
        ``{"pictures": n, "overall": {method: {"srcc", "low", "high", "krcc"}}, "types": {type: {method: srcc}}}``;
        ``low`` and ``high`` bound the 95 % bootstrap interval over pictures. Methods are ``judge`` and the metrics'
        names, all oriented so that higher is better.
    """
    rows = read_ratings(folder)
    references: dict[Path, tuple[torch.Tensor, Reference]] = {}
    values: dict[str, list[float]] = {name: [] for name in ("judge", *metrics)}
    for done, row in enumerate(rows):
        if row.reference not in references:
            image = read_image(row.reference)
            references[row.reference] = (image, judge.prepare(image))
        image, reference = references[row.reference]
        test = read_image(row.distorted)
        with torch.no_grad():
            values["judge"].append(float(judge.score(test, reference)))
        for name, value in classical_metrics(test, image, metrics).items():
            values[name].append(METRICS[name][1] * value[0])
        if progress:
            progress(done + 1, len(rows))
    mos = np.array([row.mos for row in rows])
    kinds = np.array([row.type for row in rows])
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(rows), size=(bootstrap, len(rows)))
    overall = {}
    for name, column in values.items():
        answer = np.array(column)
        resampled = [spearmanr(answer[d], mos[d]).statistic for d in draws]
        low, high = np.percentile(resampled, [2.5, 97.5])
        overall[name] = {
            "srcc": float(spearmanr(answer, mos).statistic),
            "low": float(low),
            "high": float(high),
            "krcc": float(kendalltau(answer, mos).statistic),
        }
    by_type = {
        str(kind): {
            name: float(spearmanr(np.array(column)[kinds == kind], mos[kinds == kind]).statistic)
            for name, column in values.items()
        }
        for kind in dict.fromkeys(kinds)
    }
    return {"pictures": len(rows), "overall": overall, "types": by_type}
