"""Do the maps name real, unplanted artefacts: TID2013's own pictures and real camera noise?

The right answers of TID2013's types follow from the description of the type (Ponomarenko et al. 2015, table 1) and the
channels' meaning (:mod:`pixelperfect_models.channels`), as in :mod:`.foreign`; the first is the primary one. They do
not use the ratings, and neither does anything here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation import map_measures as measure
from pixelperfect_models.evaluation.datasets import Rating, read_dataset
from pixelperfect_models.evaluation.map_trust import ask, map_excess
from pixelperfect_models.images import list_images, read_array
from pixelperfect_models.judge import PixelPerfect

_NOISE = ("luma_noise", "chroma_noise")
_CODED = ("blocking", "ringing", "detail_loss")

TID2013_RIGHT: dict[str, tuple[str, ...]] = {
    "additive_gaussian_noise": _NOISE,
    "color_noise": ("chroma_noise", "luma_noise"),
    "spatially_correlated_noise": _NOISE,
    "masked_noise": _NOISE,
    "high_frequency_noise": _NOISE,
    "impulse_noise": _NOISE,
    "quantization_noise": ("banding",),
    "gaussian_blur": ("blur",),
    "image_denoising": ("detail_loss", "blur"),  # the residue of a denoiser on a noisy picture
    "jpeg": _CODED,
    "jpeg2000": ("ringing", "detail_loss", "blur"),
    "jpeg_transmission_errors": ("blocking",),
    "jpeg2000_transmission_errors": ("blocking", "ringing"),
    "non_eccentricity_pattern_noise": ("blocking", "ghosting"),  # small patches repeated a few pixels away
    "local_blockwise": ("blocking",),
    "mean_shift": ("exposure",),
    "contrast_change": ("contrast",),
    "saturation_change": ("saturation",),
    "multiplicative_gaussian_noise": _NOISE,
    "comfort_noise": ("luma_noise", "detail_loss"),  # a coder that replaces texture by noise
    "lossy_compression_of_noisy": (*_NOISE, *_CODED),
    "color_quantization_dither": ("banding", *_NOISE),  # few colours, dithered into grain
    "chromatic_aberrations": ("chromatic_aberration",),
    "sparse_sampling": ("detail_loss", "blur", "ringing"),  # compressive sensing and reconstruction
}
"""Type of TID2013 -> channels that are right answers."""


def evaluate_tid2013(judge: PixelPerfect, folder: str | Path) -> dict[str, Any]:
    """Top-1, intensity SRCC and leakage on the rated pictures of TID2013 (or a part of it).

    Args:
        judge: any judge.
        folder: the set, or a part of it with ``ratings.csv``; types named as in :data:`TID2013_RIGHT`.

    Returns:
        ``{"pictures", "types": {type: {"top1", "strict", "srcc", "leakage", "strongest"}}, "mean"}``. ``srcc`` is of
        the level (1 to 5) with the mean excess of the right channels, within each content, then averaged.

    Raises:
        UserError: a type that is not in the table.
    """
    _, rows = read_dataset(folder)
    asked: dict[tuple[str, Path], list[Rating]] = {}
    for row in rows:
        if row.type not in TID2013_RIGHT:
            raise UserError(f"{folder}: type '{row.type}' has no right answers, expected a type of TID2013")
        asked.setdefault((row.type, row.reference), []).append(row)
    found: dict[str, list[dict[str, Any]]] = {}
    for (kind, reference), group in asked.items():
        ref, right = read_array(reference), [judge.types.index(name) for name in TID2013_RIGHT[kind]]
        maps = ask(judge, [read_array(row.distorted) for row in group], ref)
        over = map_excess(maps, judge.types)
        first = np.array([measure.strongest(values) for values in over])
        strength = [float(values[right].mean()) for values in over]
        found.setdefault(kind, []).append({
            "first": first,
            "right": right,
            "srcc": measure.intensity_srcc([row.level or 0 for row in group], strength) if len(group) > 2 else np.nan,
            "leakage": np.mean([measure.leakage(values, right) for values in maps]),
        })  # fmt: skip
    types = {kind: _row(parts, judge.types) for kind, parts in found.items()}
    keys = ("top1", "strict", "srcc", "leakage")
    mean = {key: float(np.nanmean([row[key] for row in types.values()])) for key in keys}
    return {"pictures": len(rows), "types": types, "mean": mean}


def _row(parts: list[dict[str, Any]], types: Sequence[str]) -> dict[str, Any]:
    first, right = np.concatenate([part["first"] for part in parts]), parts[0]["right"]
    return {
        "top1": float(np.isin(first, right).mean()),
        "strict": float((first == right[0]).mean()),
        "srcc": float(np.nanmean([part["srcc"] for part in parts])),
        "leakage": float(np.mean([part["leakage"] for part in parts])),
        "strongest": {types[index]: float((first == index).mean()) for index in sorted(set(first.tolist()))},
    }


def evaluate_real_noise(judge: PixelPerfect, folder: str | Path, side: int = 256) -> dict[str, Any]:
    """Camera noise: ``noisy/NAME`` against ``clean/NAME``, the middle ``side`` px of each.

    Returns:
        ``{"pictures", "top1", "strict" (luma_noise), "leakage", "srcc", "strongest"}``; ``srcc`` is of the
        noise's real strength (root mean square of noisy - clean) with the mean excess of the two noise channels.
    """
    right = [judge.types.index(name) for name in _NOISE]
    first, strength, answer, leak = [], [], [], []
    for noisy, clean in real_noise_pairs(folder, side):
        maps = ask(judge, [noisy], clean)
        over = map_excess(maps, judge.types)[0]
        first.append(measure.strongest(over))
        strength.append(float(np.sqrt(np.mean((noisy - clean) ** 2))))
        answer.append(float(over[right].mean()))
        leak.append(measure.leakage(maps[0], right))
    places = np.array(first)
    return {
        "pictures": len(first),
        "top1": float(np.isin(places, right).mean()),
        "strict": float((places == right[0]).mean()),
        "leakage": float(np.mean(leak)),
        "srcc": measure.intensity_srcc(strength, answer),
        "strongest": {judge.types[index]: float((places == index).mean()) for index in sorted(set(first))},
    }


def real_noise_pairs(folder: str | Path, side: int, count: int | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """(noisy, clean) crops of the middle ``side`` px; ``count`` of them, evenly chosen by name, or all.

    Raises:
        UserError: no picture, or one without its clean partner.
    """
    names = list_images(Path(folder) / "noisy")
    if count is not None and count < len(names):
        names = [names[round(place)] for place in np.linspace(0, len(names) - 1, count)]
    pairs = []
    for noisy in names:
        clean = Path(folder) / "clean" / noisy.name
        if not clean.is_file():
            raise UserError(f"{clean}: no such file; expected the clean partner of {noisy}")
        pairs.append((middle(read_array(noisy), side), middle(read_array(clean), side)))
    return pairs


def middle(picture: np.ndarray, side: int) -> np.ndarray:
    """The middle square of ``side`` px of an (H, W, 3) picture, or all of a smaller one."""
    top, left = (max(0, (size - side) // 2) for size in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])
