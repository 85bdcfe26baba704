"""Do the maps name and find planted distortions? On photos that were not trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.distortions.spatial import intensity_map
from pixelperfect_models.distortions.table import DISTORTIONS
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import list_images, read_array, to_tensor
from pixelperfect_models.judge import PixelPerfect
from pixelperfect_models.map_statistics import excess


def evaluate_planted(
    folder: str | Path,
    judge: PixelPerfect,
    per_type: int = 8,
    side: int = 256,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Plant every distortion type under random regions in crops of the photos in ``folder`` and ask for the maps.

    Returns:
        ``{"pairs", "top1", "auc", "channels", "types": {type: {"top1", "auc", "leakage": {channel: share}}}}``:
        ``top1`` is the share of pairs whose strongest channel (mean excess) is one of the type's own; ``auc`` that
        of the own channel's map telling pixels inside the region from those outside; ``leakage`` the mean excess
        of every channel inside the region.

    Raises:
        UserError: no photo in the folder, or all are smaller than ``side``.
    """
    photos = [array for array in map(read_array, list_images(folder)) if min(array.shape[:2]) >= side]
    if not photos:
        raise UserError(f"{folder}: no photo of at least {side} x {side} pixels")
    engine = DistortionEngine()
    result: dict[str, Any] = {"pairs": len(DISTORTIONS) * per_type, "channels": list(judge.types), "types": {}}
    done = 0
    for place, (name, distortion) in enumerate(DISTORTIONS.items()):
        own = [judge.types.index(channel) for channel in distortion.channels]
        hits, areas = 0, []
        leakage = np.zeros(len(judge.types))
        for number in range(per_type):
            rng = np.random.default_rng([seed, place, number])
            photo = photos[int(rng.integers(len(photos)))]
            top, left = (int(rng.integers(size - side + 1)) for size in photo.shape[:2])
            crop = photo[top : top + side, left : left + side]
            where = intensity_map((side, side), rng, "region")
            where = np.where(where > 0.5 * where.max(), np.float32(rng.uniform(0.4, 1.0)), np.float32(0.0))
            test, _ = engine.planted(crop, name, where, rng)
            with torch.no_grad():
                maps = judge.maps(to_tensor(test), to_tensor(crop))
            found = excess(maps, judge.types)[0].numpy()
            hits += int(found.mean((1, 2)).argmax() in own)
            inside = where > 0
            if 0 < inside.sum() < inside.size:
                areas.append(max(_auc(found[channel], inside) for channel in own))
            leakage += found[:, inside].mean(1) / per_type
            done += 1
            if progress:
                progress(done, result["pairs"])
        result["types"][name] = {
            "top1": hits / per_type,
            "auc": float(np.mean(areas)) if areas else float("nan"),
            "leakage": dict(zip(judge.types, leakage.tolist(), strict=True)),
        }
    rows = result["types"].values()
    result["top1"] = float(np.mean([row["top1"] for row in rows]))
    result["auc"] = float(np.nanmean([row["auc"] for row in rows]))
    return result


def _auc(values: np.ndarray, inside: np.ndarray) -> float:
    """Area under the ROC curve by the rank-sum identity (Mann-Whitney), ties counted half."""
    ranks = rankdata(values.ravel())
    positive = inside.ravel()
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (positive.size - count)))
