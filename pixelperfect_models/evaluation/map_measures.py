"""Measures of distortion maps with a known truth: name, place, strength, leakage, independence. Arrays in, numbers out.

Maps are (K, H, W) in [0, 1], 0.5 neutral; *excess* (K, H, W) in [0, 1] is :func:`..map_statistics.excess` of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.stats import rankdata, spearmanr
from skimage.filters import threshold_otsu


def auc(values: np.ndarray, inside: np.ndarray) -> float:
    """Area under the ROC curve of ``values`` telling pixels ``inside`` (bool) from the others, ties counted half.

    By the rank-sum identity (Mann and Whitney 1947). NaN where all or none of the pixels are inside.
    """
    positive = inside.ravel()
    count = int(positive.sum())
    if count in (0, positive.size):
        return float("nan")
    ranks = rankdata(values.ravel())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (positive.size - count)))


def iou(found: np.ndarray, inside: np.ndarray) -> float:
    """Intersection over union of two bool masks; 1 where both are empty."""
    union = int((found | inside).sum())
    return 1.0 if union == 0 else float((found & inside).sum() / union)


def half_height(values: np.ndarray) -> np.ndarray:
    """The place a map (H, W) points at: bool, where it exceeds half of its 95th percentile.

    The percentile stands for the height of the map's plateau, half of it is where a soft border is drawn (full
    width at half maximum). The rule knows nothing of the truth. A map that is 0 in 95 % of the pixels, or everywhere,
    points at the pixels above 0.
    """
    return values > 0.5 * float(np.percentile(values, 95))


def otsu(values: np.ndarray) -> np.ndarray:
    """The same by Otsu's threshold (1979), to see how much the rule decides; a constant map points nowhere."""
    if float(values.min()) == float(values.max()):
        return np.zeros(values.shape, dtype=bool)
    return values > threshold_otsu(values)


def strongest(excess: np.ndarray, where: np.ndarray | None = None) -> int:
    """The channel of the highest mean excess, over the pixels of the bool mask ``where`` (default all)."""
    return int(channel_means(excess, where).argmax())


def channel_means(excess: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean of every channel, (K,), over the pixels of the bool mask ``where`` (default all)."""
    chosen = excess.reshape(len(excess), -1) if where is None else excess[:, where]
    return chosen.mean(1)


def deviation(maps: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean ``|map - 0.5|`` of every channel, (K,), over the pixels of ``where``: how loudly each channel answers."""
    return channel_means(np.abs(maps - 0.5), where)


def leakage(maps: np.ndarray, right: Sequence[int], where: np.ndarray | None = None) -> float:
    """Mean ``|map - 0.5|`` of the channels that are not among the ``right`` ones, over the pixels of ``where``."""
    return float(np.delete(deviation(maps, where), list(right)).mean())


def intensity_srcc(levels: Sequence[float], answers: Sequence[float]) -> float:
    """Spearman correlation of the planted levels with the answers; 0 where the answer is constant."""
    if np.ptp(answers) == 0:
        return 0.0
    return float(spearmanr(levels, answers).statistic)


def off_diagonal_correlation(answers: np.ndarray) -> float:
    """Mean absolute Pearson correlation between different columns of (n, K) answers; constant columns are left out.

    NaN with fewer than two columns that vary.
    """
    varying = answers[:, answers.std(0) > 1e-12]
    if varying.shape[1] < 2:
        return float("nan")
    matrix = np.corrcoef(varying, rowvar=False)
    return float(np.abs(matrix[~np.eye(len(matrix), dtype=bool)]).mean())


def separation(values: np.ndarray, own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """How well a map (H, W) keeps to its own region where another distortion fills another region.

    Returns:
        AUC of own against other pixels, and the share of the answer that lies in the own region,
        mean(own) / (mean(own) + mean(other)); 1 is perfect in both, 0.5 is blind. The share of a map that is 0 in both
        is 0.5.
    """
    both = own | other
    inside, outside = float(values[own].mean()), float(values[other].mean())
    share = 0.5 if inside + outside == 0 else inside / (inside + outside)
    return auc(values[both], own[both]), share


def plain_difference(test: np.ndarray, ref: np.ndarray, sigma: float = 4.0) -> np.ndarray:
    """The baseline of location: ``|test - ref|`` (H, W, 3) summed over colours, smoothed by ``sigma`` px: (H, W)."""
    return ndimage.gaussian_filter(np.abs(test - ref).sum(-1), sigma)


def region_mask(shape: tuple[int, int], rng: np.random.Generator, feather: float = 3.0) -> np.ndarray:
    """A random smooth-edged region of 25 to 55 % of the picture: (H, W) float32 in [0, 1].

    Gaussian-filtered noise cut at a quantile, its border softened by ``feather`` px: not the engine's Perlin maps.
    """
    side = min(shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), side / float(rng.uniform(6.0, 12.0)), mode="wrap")
    hard = noise > np.quantile(noise, 1.0 - rng.uniform(0.25, 0.55))
    return ndimage.gaussian_filter(hard.astype(np.float32), feather, mode="nearest")


def opposite_masks(shape: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two soft-edged regions of a third of the picture each, apart from each other: the ends of one noise field."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), min(shape) / 7.0, mode="wrap")
    low, high = np.quantile(noise, (1 / 3, 2 / 3))
    one, two = ((part.astype(np.float32)) for part in (noise < low, noise > high))
    return ndimage.gaussian_filter(one, 3.0), ndimage.gaussian_filter(two, 3.0)


def blend(photo: np.ndarray, distorted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``distorted`` where the (H, W) mask is 1, ``photo`` where it is 0; (H, W, 3) float32."""
    return (photo + mask[..., None] * (distorted - photo)).astype(np.float32)
