"""What orders training pictures across distortion types and contents: a rank consensus of measures, no human label.

Classical metrics agree with people where errors are fine and local. They see one scale, and average over the picture;
so measures of our own join them: how far colours moved at several degrees of blur, how much chroma changed on the
whole, and how much activity and edges changed where they changed most. MDSI, whose compressive pooling says that many
weak faults look worse than few strong ones, counts most. Members and weights were chosen on the development part of
TID2013 (docs/experiments.md); nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Collection

import kornia
import numpy as np
import torch
import torch.nn.functional as nnf

from pixelperfect_models.evaluation.classical import METRICS, classical_metrics
from pixelperfect_models.networks.scoring_network import reduce_to_seen
from pixelperfect_models.networks.similarity import ACTIVITY_MAP, CHROMA_MAP, EDGE_MAP, unlikeness, views

TEACHER_WEIGHTS: dict[str, float] = {
    "vsi": 0.5,
    "mdsi": 2.0,
    "haarpsi": 0.5,
    "psnr": 0.5,
    "color_2": 0.5 / 3,
    "color_8": 0.5 / 3,
    "color_32": 0.5 / 3,
    "activity": 1.0,
    "chroma": 1.0,
    "edges_1": 1.0,
    "edges_2": 0.5,
}
"""Weight of each member. ``color_s``: :func:`color_shift`; ``activity`` and ``edges_s``: :func:`worst_change` of
activity, and of gradients at 1 / s of the size that is seen; ``chroma``: :func:`chroma_change`."""


def color_shift(test: torch.Tensor, ref: torch.Tensor, block: int) -> torch.Tensor:
    """CIE 1976 colour difference of pictures averaged over ``block`` x ``block`` pixels, 4-norm over space, (N,)."""
    block = min(block, *test.shape[-2:])
    lab = [nnf.avg_pool2d(kornia.color.rgb_to_lab(x), block) for x in (test, ref)]
    return (lab[0] - lab[1]).square().sum(1).sqrt().pow(4).mean((1, 2)).pow(0.25)


def worst_change(test: torch.Tensor, ref: torch.Tensor, kind: int, level: int = 0) -> torch.Tensor:
    """One map of :func:`unlikeness` of pictures as seen, halved ``level`` times, 4-norm over space, (N,).

    Args:
        kind: :data:`ACTIVITY_MAP` (SSIM's second factor, 5 x 5 px) or :data:`EDGE_MAP` (gradient magnitude).
    """
    a, b = (views(reduce_to_seen(x))[level] for x in (test, ref))
    return unlikeness(a, b)[:, kind].pow(4).mean((1, 2)).pow(0.25)


def chroma_change(test: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
    """Mean unlikeness of the two opponent colours (MDSI's, with its constant) of pictures as seen, (N,)."""
    a, b = (views(reduce_to_seen(x))[0] for x in (test, ref))
    return unlikeness(a, b)[:, CHROMA_MAP].mean((1, 2))


@torch.no_grad()
def measure(
    test: torch.Tensor, ref: torch.Tensor, names: Collection[str] = tuple(TEACHER_WEIGHTS)
) -> dict[str, list[float]]:
    """Members of :data:`TEACHER_WEIGHTS` for a batch (N, 3, H, W) in [0, 1], oriented so that higher is better."""
    classical = [name for name in names if name in METRICS]
    values = classical_metrics(test, ref, tuple(classical)) if classical else {}
    result = {name: [METRICS[name][1] * value for value in values[name]] for name in classical}
    if "activity" in names:
        result["activity"] = (-worst_change(test, ref, ACTIVITY_MAP)).tolist()
    if "chroma" in names:
        result["chroma"] = (-chroma_change(test, ref)).tolist()
    for name in names:
        kind, _, scale = name.partition("_")
        if kind == "color":
            result[name] = (-color_shift(test, ref, int(scale))).tolist()
        elif kind == "edges":
            result[name] = (-worst_change(test, ref, EDGE_MAP, int(scale).bit_length() - 1)).tolist()
    return result


def consensus(values: dict[str, np.ndarray]) -> np.ndarray:
    """Weighted mean of the logarithms of each member's mid-rank over all entries, ranked again; shapes are kept.

    In (0, 1], the best entry gets 1, and qualities are spread evenly over it. The logarithm keeps the members' word
    where it matters most, among the bad pictures: plain ranks of training pictures, most of which are better than
    those that people rate, agree less with the development part (docs/experiments.md).
    """
    total = np.zeros(next(iter(values.values())).shape, dtype=np.float64)
    for name, weight in TEACHER_WEIGHTS.items():
        total += weight * np.log(_mid_ranks(values[name]))
    quality = _mid_ranks(total)
    return (quality / quality.max()).astype(np.float32)


def _mid_ranks(values: np.ndarray) -> np.ndarray:
    """Each entry's place among all, in (0, 1); equal entries share the middle of theirs."""
    order = np.sort(values, axis=None)
    low = np.searchsorted(order, values.ravel(), side="left")
    high = np.searchsorted(order, values.ravel(), side="right")
    return ((low + high) / 2 / order.size).reshape(values.shape)
