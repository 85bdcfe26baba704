"""Do the maps name, find and grade distortions that another implementation made (:mod:`.foreign`)?

Each entry of the table is put on several photos: over the whole picture at all five levels (strength), and at all
five levels under a random soft-edged region (name and place). What is measured how:

- *top-1*: the channel of the highest mean excess inside the region is among the entry's right answers; *strict*: it is
  the primary one. All five levels count.
- *AUC*, *IoU*: of the right channels' maps (the highest of them at each pixel) against the region (mask above one
  half). The threshold of IoU is :func:`.map_measures.half_height`, which does not know the truth; ``iou_otsu`` takes
  Otsu's. ``difference_auc`` and ``difference_iou`` are the same of the smoothed plain difference, the baseline.
- *intensity SRCC*: of the level with the mean excess of the right channels over the whole picture; within each photo
  (averaged), and pooled over photos.
- *leakage*: mean |map - 0.5| of the channels that are no right answers: inside the region, and over the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation import map_measures as measure
from pixelperfect_models.evaluation.foreign import FOREIGN, LEVELS, Foreign
from pixelperfect_models.images import list_images, read_array, to_tensor
from pixelperfect_models.judge import PixelPerfect
from pixelperfect_models.map_statistics import excess

Progress = Callable[[int, int], None]


def read_photos(folders: Sequence[str | Path], side: int) -> list[np.ndarray]:
    """All photos of the folders that hold a ``side`` px square, (H, W, 3) in [0, 1], the folders' taken in turn.

    Raises:
        UserError: none is large enough.
    """
    rows = [[photo for photo in map(read_array, list_images(folder)) if min(photo.shape[:2]) >= side]
            for folder in folders]  # fmt: skip
    photos = [row[place] for place in range(max(map(len, rows), default=0)) for row in rows if place < len(row)]
    if not photos:
        raise UserError(f"{', '.join(map(str, folders))}: no photo of at least {side} x {side} pixels")
    return photos


def random_crop(photo: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of ``side`` px of an (H, W, 3) photo."""
    top, left = (int(rng.integers(size - side + 1)) for size in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side, left : left + side])


def ask(judge: PixelPerfect, tests: Sequence[np.ndarray], ref: np.ndarray) -> np.ndarray:
    """Maps of several (H, W, 3) pictures against one reference, (N, K, H, W) float32."""
    device = next(judge.parameters()).device
    with torch.no_grad():
        state = judge.prepare(to_tensor(ref).to(device))
        maps = judge.maps(torch.cat([to_tensor(test) for test in tests]).to(device), state)
    return maps.float().cpu().numpy()


def map_excess(maps: np.ndarray, types: Sequence[str]) -> np.ndarray:
    """:func:`pixelperfect_models.map_statistics.excess` of (N, K, H, W) arrays."""
    return excess(torch.from_numpy(maps), types).numpy()


def evaluate_foreign(
    judge: PixelPerfect,
    photos: Sequence[np.ndarray],
    per_type: int = 4,
    side: int = 256,
    seed: int = 0,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Every foreign distortion on ``per_type`` random crops of ``side`` px; see the module's text for the measures.

    Args:
        judge: any judge.
        photos: (H, W, 3) float32 in [0, 1], at least ``side`` px high and wide; entry by entry the next ones are taken.
        per_type: photos an entry.
        names: entries of :data:`.foreign.FOREIGN`; None for all.
        progress: told (entries done, entries in all).

    Returns:
        ``{"types": {name: row}, "mean": row, "channels", "pictures", "anti_symmetry", "independence", ...}``; a row
        has ``top1, strict, top1_levels (5), auc, iou, iou_otsu, difference_auc, difference_iou, srcc, srcc_error (the
        standard error over photos), srcc_pooled, leakage, leakage_picture`` and, for each channel, ``answers`` (mean
        |map - 0.5| inside the region) and ``strongest`` (how often it was the strongest).
    """
    entries = list(FOREIGN.values()) if names is None else [FOREIGN[name] for name in names]
    rows: dict[str, dict[str, Any]] = {}
    answers: list[np.ndarray] = []
    worst_swap = 0.0
    for place, entry in enumerate(entries):
        photo_rows, swap = [], 0.0
        for number in range(per_type):
            rng = np.random.default_rng([seed, place, number])
            crop = random_crop(photos[(place * per_type + number) % len(photos)], side, rng)
            found = _one_photo(judge, entry, crop, rng, check_swap=number == 0)
            swap = max(swap, found.pop("swap"))
            answers.extend(found.pop("means"))
            photo_rows.append(found)
        rows[entry.name] = _merge(photo_rows, judge.types)
        worst_swap = max(worst_swap, swap)
        if progress:
            progress(place + 1, len(entries))
    matrix = np.array(answers)
    return {
        "channels": list(judge.types),
        "side": side,
        "per_type": per_type,
        "seed": seed,
        "pictures": len(entries) * per_type * len(LEVELS),
        "types": rows,
        "mean": {**mean_row(list(rows.values())), "srcc_error": _error_of_mean(rows)},
        "anti_symmetry": worst_swap,
        "independence": measure.off_diagonal_correlation(matrix),
        "independence_right": _right_correlation(entries, judge.types),
    }


def _one_photo(
    judge: PixelPerfect, entry: Foreign, crop: np.ndarray, rng: np.random.Generator, check_swap: bool
) -> dict[str, Any]:
    right = [judge.types.index(name) for name in entry.right]
    mask = measure.region_mask((crop.shape[0], crop.shape[1]), rng)
    inside, noise = mask > 0.5, int(rng.integers(2**63))
    whole = [entry(crop, level, np.random.default_rng(noise)) for level in LEVELS]
    parts = [measure.blend(crop, picture, mask) for picture in whole]
    over_whole = map_excess(ask(judge, whole, crop), judge.types)
    maps = ask(judge, parts, crop)
    over = map_excess(maps, judge.types)
    own = over[:, right].max(1)
    difference = [measure.plain_difference(part, crop) for part in parts]
    swap = 0.0
    if check_swap:
        swap = float(np.abs(ask(judge, [crop], parts[2])[0] + maps[2] - 1.0).max())
    return {
        "first": [measure.strongest(values, inside) for values in over],
        "right": right,
        "auc": np.mean([measure.auc(values, inside) for values in own]),
        "iou": np.mean([measure.iou(measure.half_height(values), inside) for values in own]),
        "iou_otsu": np.mean([measure.iou(measure.otsu(values), inside) for values in own]),
        "difference_auc": np.mean([measure.auc(values, inside) for values in difference]),
        "difference_iou": np.mean([measure.iou(measure.half_height(values), inside) for values in difference]),
        "strength": [float(values[right].mean()) for values in over_whole],
        "leakage": np.mean([measure.leakage(values, right, inside) for values in maps]),
        "leakage_picture": np.mean([measure.leakage(values, right) for values in maps]),
        "answers": np.mean([measure.deviation(values, inside) for values in maps], axis=0),
        "means": [measure.channel_means(values, inside) for values in over],
        "swap": swap,
    }


def _merge(photo_rows: list[dict[str, Any]], types: Sequence[str]) -> dict[str, Any]:
    # One table row from the rows of the photos.
    right = photo_rows[0]["right"]
    first = np.array([row["first"] for row in photo_rows])
    strength = np.array([row["strength"] for row in photo_rows])
    means = {
        key: float(np.mean([row[key] for row in photo_rows]))
        for key in ("auc", "iou", "iou_otsu", "difference_auc", "difference_iou", "leakage", "leakage_picture")
    }
    answers = np.mean([row["answers"] for row in photo_rows], axis=0)
    graded = np.array([measure.intensity_srcc(LEVELS, row) for row in strength])
    return {
        "top1": float(np.isin(first, right).mean()),
        "strict": float((first == right[0]).mean()),
        "top1_levels": np.isin(first, right).mean(0).tolist(),
        **means,
        "srcc": float(graded.mean()),
        "srcc_error": float(graded.std(ddof=1) / len(graded) ** 0.5) if len(graded) > 1 else float("nan"),
        "srcc_pooled": measure.intensity_srcc(np.tile(LEVELS, len(strength)).tolist(), strength.ravel().tolist()),
        "answers": dict(zip(types, answers.tolist(), strict=True)),
        "strongest": {name: float((first == index).mean()) for index, name in enumerate(types)},
    }


def mean_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean over table rows of every number and list of numbers in them."""
    keys = [key for key, value in rows[0].items() if not isinstance(value, dict)]
    return {key: np.mean([row[key] for row in rows], axis=0).tolist() for key in keys}


def _error_of_mean(rows: Mapping[str, Mapping[str, Any]]) -> float:
    # Of the mean over entries, which are given; only the photos are a sample.
    return float(np.sqrt(np.sum([row["srcc_error"] ** 2 for row in rows.values()])) / len(rows))


def _right_correlation(entries: Sequence[Foreign], types: Sequence[str]) -> float:
    # What the independence figure would be if exactly the right channels answered: not 0, since coders own several.
    truth = np.array([[float(name in entry.right) for name in types] for entry in entries])
    return measure.off_diagonal_correlation(truth) if len(entries) > 1 else float("nan")


def evaluate_two(
    judge: PixelPerfect,
    photos: Sequence[np.ndarray],
    pairs: int = 60,
    side: int = 256,
    seed: int = 0,
) -> dict[str, Any]:
    """Two foreign distortions with no right channel in common, in two regions of one picture, levels 2 to 5.

    Returns:
        ``{"pairs", "auc", "share", "kept", "top1"}``: means over both members of all pairs of
        :func:`.map_measures.separation` (own region against the other's, not against clean pixels), the share of
        members whose channel answers more in its own region, and of those whose own region's strongest channel is
        right.
    """
    entries, rng = list(FOREIGN.values()), np.random.default_rng([seed, 2])
    rows = []
    for number in range(pairs):
        first = entries[number % len(entries)]
        others = [entry for entry in entries if not set(entry.right) & set(first.right)]
        second = others[int(rng.integers(len(others)))]
        crop = random_crop(photos[number % len(photos)], side, rng)
        masks = measure.opposite_masks((side, side), rng)
        test = crop
        for planted, mask in zip((first, second), masks, strict=True):
            test = measure.blend(test, planted(crop, int(rng.integers(2, 6)), rng), mask)
        over = map_excess(ask(judge, [test], crop), judge.types)[0]
        regions = [mask > 0.5 for mask in masks]
        for entry, (own, other) in ((first, regions), (second, regions[::-1])):
            right = [judge.types.index(name) for name in entry.right]
            area, share = measure.separation(over[right].max(0), own, other)
            rows.append((area, share, float(share > 0.5), float(measure.strongest(over, own) in right)))
    return {"pairs": pairs, **dict(zip(("auc", "share", "kept", "top1"), np.mean(rows, axis=0).tolist(), strict=True))}
