"""Do the maps name, find and grade distortions that the engine planted? On photos that were not trained on.

The types a network was trained on, or types that were held out of its training: then no channel is right, and the
question is which one answers and whether the place is found at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.distortions.severity import find
from pixelperfect_models.distortions.spatial import intensity_map
from pixelperfect_models.distortions.table import DISTORTIONS
from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.map_measures import auc as _auc
from pixelperfect_models.evaluation.map_measures import (
    channel_means,
    deviation,
    half_height,
    intensity_srcc,
    iou,
    leakage,
    strongest,
)
from pixelperfect_models.images import list_images, read_array, to_tensor
from pixelperfect_models.judge import DISTORTION_WEIGHTS, PixelPerfect
from pixelperfect_models.map_statistics import excess

INTENSITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""The uniform intensities that the strength of the answer is correlated with, as shares of the type's highest."""


def evaluate_planted(
    folder: str | Path,
    judge: PixelPerfect,
    per_type: int = 8,
    side: int = 256,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    types: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Plant distortion types under random regions in crops of the photos in ``folder`` and ask for the maps.

    Args:
        folder: photos that were not trained on.
        judge: any judge.
        per_type: crops a type, each ``side`` px square.
        types: types of the engine; None for all.
        progress: told (pairs done, pairs in all).

    Returns:
        ``{"pairs", "channels", "types": {type: row}}`` and, as means over the types, every number of a row:
        ``top1`` is the share of pairs whose strongest channel (mean excess) is one of the type's own; ``auc`` that
        of the own channel's map telling pixels inside the region from those outside, ``iou`` with the threshold of
        :func:`.map_measures.half_height`, ``any_auc`` of the highest of all channels; ``srcc`` the correlation of the
        own channels' mean excess with :data:`INTENSITIES` over the whole crop; ``leak`` the mean |map - 0.5| of the
        channels not planted, inside the region, ``leak_picture`` over the whole crop. A row also has ``leakage``,
        the mean excess of every channel inside the region, ``answers``, the mean |map - 0.5| of every channel
        there, and ``strongest``, how often each channel was the strongest.

    Raises:
        UserError: no photo in the folder, all are smaller than ``side``, or an unknown type.
    """
    photos = [array for array in map(read_array, list_images(folder)) if min(array.shape[:2]) >= side]
    if not photos:
        raise UserError(f"{folder}: no photo of at least {side} x {side} pixels")
    chosen = [find(name) for name in (DISTORTIONS if types is None else types)]
    result: dict[str, Any] = {"pairs": len(chosen) * per_type, "channels": list(judge.types), "types": {}}
    for place, distortion in enumerate(chosen):
        # A type draws the same pictures whether it is asked for alone or with all others.
        stream = list(DISTORTIONS).index(distortion.name)
        rows = []
        for number in range(per_type):
            rng = np.random.default_rng([seed, stream, number])
            photo = photos[int(rng.integers(len(photos)))]
            top, left = (int(rng.integers(size - side + 1)) for size in photo.shape[:2])
            rows.append(_one_pair(judge, photo[top : top + side, left : left + side], distortion.name, rng))
            if progress:
                progress(place * per_type + number + 1, result["pairs"])
        result["types"][distortion.name] = _merge(rows, judge.types)
    for key in ("top1", "auc", "any_auc", "iou", "srcc", "leak", "leak_picture"):
        result[key] = float(np.nanmean([row[key] for row in result["types"].values()]))
    return result


def _one_pair(judge: PixelPerfect, crop: np.ndarray, name: str, rng: np.random.Generator) -> dict[str, Any]:
    engine, own = DistortionEngine(), [judge.types.index(channel) for channel in DISTORTIONS[name].channels]
    where = intensity_map((crop.shape[0], crop.shape[1]), rng, "region")
    where = np.where(where > 0.5 * where.max(), np.float32(rng.uniform(0.4, 1.0)), np.float32(0.0))
    test, _ = engine.planted(crop, name, where, rng)
    draw = int(rng.integers(2**63))
    graded = [
        engine.planted(crop, name, np.full(where.shape, level, np.float32), np.random.default_rng(draw))[0]
        for level in INTENSITIES
    ]
    with torch.no_grad():
        device = next(judge.parameters()).device
        pictures = torch.cat([to_tensor(picture) for picture in (test, *graded)]).to(device)
        maps = judge.maps(pictures, judge.prepare(to_tensor(crop).to(device))).float().cpu()
    over, inside = excess(maps, judge.types).numpy(), where > 0
    first = over[0]
    return {
        "first": strongest(first),
        "hit": strongest(first) in own,
        "auc": max(_auc(first[channel], inside) for channel in own),
        "any_auc": _auc(first.max(0), inside),
        "iou": max(iou(half_height(first[channel]), inside) for channel in own),
        "srcc": intensity_srcc(INTENSITIES, [float(values[own].mean()) for values in over[1:]]),
        "leak": leakage(maps[0].numpy(), own, inside),
        "leak_picture": leakage(maps[0].numpy(), own),
        "leakage": channel_means(first, inside),
        "answers": deviation(maps[0].numpy(), inside),
    }


def _merge(rows: list[dict[str, Any]], types: Sequence[str]) -> dict[str, Any]:
    # NaN comes from a region that is the whole crop: it has no outside. Types without any other region stay NaN.
    numbers = {}
    for key in ("auc", "any_auc", "iou", "srcc", "leak", "leak_picture"):
        values = np.array([row[key] for row in rows], dtype=np.float64)
        numbers[key] = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    return {
        "top1": float(np.mean([row["hit"] for row in rows])),
        **numbers,
        "leakage": dict(zip(types, np.mean([row["leakage"] for row in rows], axis=0).tolist(), strict=True)),
        "answers": dict(zip(types, np.mean([row["answers"] for row in rows], axis=0).tolist(), strict=True)),
        "strongest": {
            name: float(np.mean([row["first"] == index for row in rows])) for index, name in enumerate(types)
        },
    }


def held_out_types(weights: str | Path) -> tuple[str, ...]:
    """The engine's types that a training left out, by the model card beside the weights: what ``distortion.types`` of
    its configuration does not name. Empty where it named none (all were trained).

    Raises:
        UserError: no model card, or one that holds no configuration.
    """
    card = (Path(weights) / DISTORTION_WEIGHTS).with_suffix(".json")
    try:
        trained = json.loads(card.read_text(encoding="utf-8"))["config"]["distortion"].get("types")
    except FileNotFoundError:
        raise UserError(f"{card}: no such model card; name the types that were held out with --held-out") from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{card}: holds no config.distortion; name the types with --held-out") from None
    return () if trained is None else tuple(name for name in DISTORTIONS if name not in trained)
