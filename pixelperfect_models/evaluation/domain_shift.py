"""How far are synthetic distortions from real ones: divergence between histograms of features.

Two sets of (test, reference) pairs, one real, one synthetic, matched in mean squared error so that not the strength is
compared but the kind. Features are (a) what the judge sees: differences test - reference of its own encoder's last
level, (b) plain scene statistics of 8 x 8 blocks. For each feature the Jensen-Shannon divergence (J. Lin, *Divergence
measures based on the Shannon entropy*, 1991) in bits: 0 the same, 1 apart, over bins between pooled quantiles. Pictures
are split in two halves: real of one half against synthetic of the other (*shift*) beside real against real of the other
(*baseline*), so that contents and sample size weigh on both alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pixelperfect_models.distortions.render import render
from pixelperfect_models.distortions.severity import cap
from pixelperfect_models.images import to_tensor
from pixelperfect_models.judge import PixelPerfect

Pair = tuple[np.ndarray, np.ndarray]
"""(test, reference), each (H, W, 3) float32 in [0, 1]."""

SCENE_FEATURES = ("log_energy", "gradient", "chroma", "luma_correlation", "chroma_correlation")
"""Columns of :func:`scene_statistics`."""

BINS = 16
_BLOCK = 8


def js_divergence(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits of distributions along the last axis; counts are normalised.

    Symmetric, 0 for equal ones, 1 for ones that share no bin. Raises ValueError for an empty or negative histogram.
    """
    p, q = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if (p < 0).any() or (q < 0).any() or (p.sum(-1) <= 0).any() or (q.sum(-1) <= 0).any():
        raise ValueError("histograms must be non-negative with a positive sum")
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    middle = (p + q) / 2

    def half(share: np.ndarray) -> np.ndarray:
        ratio = np.divide(share, middle, out=np.ones_like(share), where=share > 0)
        return (share * np.log2(ratio)).sum(-1)

    return np.clip((half(p) + half(q)) / 2, 0.0, 1.0)


def feature_divergence(one: np.ndarray, other: np.ndarray, bins: int = BINS) -> np.ndarray:
    """:func:`js_divergence` of every column of (n, F) and (m, F) features, (F,), bins between pooled quantiles."""
    result = []
    for a, b in zip(one.T, other.T, strict=True):
        inner = np.unique(np.quantile(np.concatenate([a, b]), np.linspace(0, 1, bins + 1)[1:-1]))
        counts = [np.bincount(np.searchsorted(inner, x), minlength=len(inner) + 1) for x in (a, b)]
        result.append(js_divergence(counts[0], counts[1]))
    return np.array(result)


def encoder_features(judge: PixelPerfect, pair: Pair, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Differences test - reference of the encoder's last level at random places: (samples, C)."""
    with torch.no_grad():
        test, ref = (judge.distortion.encode(to_tensor(picture))[-1][0].flatten(1) for picture in pair)
    difference = (test - ref).numpy().T
    return difference[rng.integers(len(difference), size=samples)]


def scene_statistics(pair: Pair) -> np.ndarray:
    """Per 8 x 8 block, (n, 5): how energy, gradient and chroma of test differ from the reference's, and the error's
    correlation between neighbours in luma and in chroma (columns: :data:`SCENE_FEATURES`).

    ``log_energy`` is the difference of log2 of the luma variance (plus one 8-bit step squared), ``gradient`` of the
    mean absolute gradient, ``chroma`` of the deviation of the colour differences.
    """
    test, ref = (_opponent(picture) for picture in pair)
    columns = [a - b for a, b in zip(_block_statistics(test), _block_statistics(ref), strict=True)]
    error = test - ref
    chroma = (_neighbour_correlation(error[..., 1]) + _neighbour_correlation(error[..., 2])) / 2
    return np.stack([*columns, _neighbour_correlation(error[..., 0]), chroma], axis=-1).reshape(-1, len(SCENE_FEATURES))


def _opponent(picture: np.ndarray) -> np.ndarray:
    # BT.709 luma, blue and red difference.
    luma = picture @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    return np.stack([luma, picture[..., 2] - luma, picture[..., 0] - luma], axis=-1)


def _blocks(plane: np.ndarray) -> np.ndarray:
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return cut.transpose(0, 2, 1, 3).astype(np.float64)


def _block_statistics(opponent: np.ndarray) -> list[np.ndarray]:
    luma, blue, red = (_blocks(opponent[..., place]) for place in range(3))
    gradient = np.abs(np.diff(luma, axis=2)).mean((2, 3)) + np.abs(np.diff(luma, axis=3)).mean((2, 3))
    return [np.log2(luma.var((2, 3)) + 1 / 255**2), gradient, np.sqrt(blue.var((2, 3)) + red.var((2, 3)))]


def _neighbour_correlation(error: np.ndarray) -> np.ndarray:
    blocks = _blocks(error)
    centred = blocks - blocks.mean((2, 3), keepdims=True)
    power = (centred**2).mean((2, 3))
    return (centred[..., 1:] * centred[..., :-1]).mean((2, 3)) / (power + 1e-7)


def match_engine(real: Pair, name: str, rng: np.random.Generator, steps: int = 8) -> Pair:
    """The engine's type ``name`` on the real pair's reference, at the intensity whose mean squared error is nearest.

    Bisection over [0, cap of the type]; rounded to 8 bit, as files are. A type that cannot reach the error stays at
    its cap.
    """
    test, ref = real
    target, seed = float(np.mean((test - ref) ** 2)), int(rng.integers(2**63))
    low, high = 0.0, cap(name)
    best, distance = ref, float("inf")
    for _ in range(steps):
        middle = (low + high) / 2
        tried = render(ref, name, middle, np.random.default_rng(seed))
        error = float(np.mean((tried - ref) ** 2))
        if abs(np.log(max(error, 1e-12) / max(target, 1e-12))) < distance:
            best, distance = tried, abs(np.log(max(error, 1e-12) / max(target, 1e-12)))
        low, high = (middle, high) if error < target else (low, middle)
    return np.round(best * np.float32(255)) / np.float32(255), ref


def measure_shift(
    judge: PixelPerfect,
    real: Sequence[Pair],
    synthetic: Sequence[Pair],
    samples: int = 128,
    splits: int = 4,
    seed: int = 0,
) -> dict[str, Any]:
    """Shift and baseline (means over ``splits`` random halvings) of two sets of pairs.

    Args:
        judge: whose encoder is asked.
        real, synthetic: as many of both, of the same contents in the same order; at least four.
        samples: places a picture for the encoder's features.

    Returns:
        ``{"encoder": {"shift", "baseline", "worst"}, "scene": {feature: {"shift", "baseline"}}, "pictures"}`` in bits;
        the encoder's figures are means over its channels, ``worst`` is the highest channel's shift.
    """
    if len(real) != len(synthetic) or len(real) < 4:
        raise ValueError(f"{len(real)} real and {len(synthetic)} synthetic pairs, expected equally many, 4 or more")
    rng = np.random.default_rng(seed)
    sets = (real, synthetic)
    deep = [[encoder_features(judge, pair, samples, rng) for pair in pairs] for pairs in sets]
    plain = [[scene_statistics(pair) for pair in pairs] for pairs in sets]
    halves = []
    for _ in range(splits):
        order = rng.permutation(len(real))
        halves.append((order[: len(order) // 2], order[len(order) // 2 :]))
    encoder, scene = (_shift_and_baseline(features, halves) for features in (deep, plain))
    return {
        "pictures": len(real),
        "encoder": {
            "shift": float(encoder[0].mean()),
            "baseline": float(encoder[1].mean()),
            "worst": float(encoder[0].max()),
        },
        "scene": {
            name: {"shift": float(scene[0][place]), "baseline": float(scene[1][place])}
            for place, name in enumerate(SCENE_FEATURES)
        },
    }


def _shift_and_baseline(
    features: list[list[np.ndarray]], halves: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    real, synthetic = features

    def gather(rows: list[np.ndarray], chosen: np.ndarray) -> np.ndarray:
        return np.concatenate([rows[place] for place in chosen])

    shift = [feature_divergence(gather(real, a), gather(synthetic, b)) for a, b in halves]
    baseline = [feature_divergence(gather(real, a), gather(real, b)) for a, b in halves]
    return np.mean(shift, axis=0), np.mean(baseline, axis=0)
