"""One map in four numbers, defined as the objective's statistics are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pixelperfect_models.map_statistics import statistic


@dataclass(frozen=True)
class MapSummary:
    """Mean, p95, largest and smallest signed excess of a map, in intensity units [-1, 1].

    ``p95`` is the mean of the five per cent largest values, as in :func:`pixelperfect_models.map_statistics.statistic`.
    """

    mean: float
    p95: float
    max: float
    min: float


def summarize(excess: np.ndarray) -> MapSummary:
    """Summarise a signed excess (H, W) in [-1, 1]: positive where the test has more."""
    values = torch.from_numpy(np.ascontiguousarray(excess, dtype=np.float32))[None, None]
    everywhere = torch.ones_like(values)
    mean, p95, high = (float(statistic(values, everywhere, name)) for name in ("mean", "p95", "max"))
    return MapSummary(mean, p95, high, float(values.min()))
