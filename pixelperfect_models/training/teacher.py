"""What orders training pictures across distortion types and contents: a rank consensus of measures, no human label.

Classical metrics agree with people where errors are fine and local. They see one scale; so two coarse measures of our
own join them: how much the energy of each band of a pyramid changed in each part of the picture, and how far colours
moved at several degrees of blur. Members and weights were chosen on the development part of TID2013
(docs/experiments.md); nothing is fitted.
"""

from __future__ import annotations

import kornia
import numpy as np
import torch
import torch.nn.functional as nnf

from pixelperfect_models.evaluation.classical import METRICS, classical_metrics

TEACHER_WEIGHTS: dict[str, float] = {
    "vsi": 1.0,
    "mdsi": 1.0,
    "haarpsi": 1.0,
    "psnr": 0.5,
    "energy_1": 0.5 / 3,
    "energy_2": 0.5 / 3,
    "energy_3": 0.5 / 3,
    "color_2": 0.5 / 3,
    "color_8": 0.5 / 3,
    "color_32": 0.5 / 3,
}
"""Weight of each member's rank. ``energy_s`` and ``color_s``: :func:`band_energy_change`, :func:`color_shift`."""


def band_energy_change(test: torch.Tensor, ref: torch.Tensor, scales: int = 4) -> list[torch.Tensor]:
    """Mean change of log-energy of the bands of a Laplacian-like pyramid in blocks of 16 x 16; one (N,) a scale.

    Args:
        test, ref: (N, 3, H, W) in [0, 1]; halved before the first scale. Scales too small for a block use one block.
    """
    a, b = (nnf.avg_pool2d(x, 2).mean(1, keepdim=True) for x in (test, ref))
    changes = []
    for _ in range(scales):
        block = min(16, *a.shape[-2:])
        logs = []
        for x in (a, b):
            band = x - nnf.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
            logs.append(torch.log(nnf.avg_pool2d(band.square(), block) + 1e-4))
        changes.append((logs[0] - logs[1]).abs().mean((1, 2, 3)))
        if min(a.shape[-2:]) < 2:
            break
        a, b = nnf.avg_pool2d(a, 2), nnf.avg_pool2d(b, 2)
    return changes


def color_shift(test: torch.Tensor, ref: torch.Tensor, block: int) -> torch.Tensor:
    """CIE 1976 colour difference of pictures averaged over ``block`` x ``block`` pixels, 4-norm over space, (N,)."""
    block = min(block, *test.shape[-2:])
    lab = [nnf.avg_pool2d(kornia.color.rgb_to_lab(x), block) for x in (test, ref)]
    return (lab[0] - lab[1]).square().sum(1).sqrt().pow(4).mean((1, 2)).pow(0.25)


@torch.no_grad()
def measure(test: torch.Tensor, ref: torch.Tensor) -> dict[str, list[float]]:
    """Every member of :data:`TEACHER_WEIGHTS` for a batch (N, 3, H, W) in [0, 1], oriented so that higher is better."""
    classical = [name for name in TEACHER_WEIGHTS if name in METRICS]
    values = classical_metrics(test, ref, tuple(classical))
    result = {name: [METRICS[name][1] * value for value in values[name]] for name in classical}
    changes = band_energy_change(test, ref)
    for name in TEACHER_WEIGHTS:
        kind, _, scale = name.partition("_")
        if kind == "energy":
            result[name] = (-changes[min(int(scale), len(changes) - 1)]).tolist()
        elif kind == "color":
            result[name] = (-color_shift(test, ref, int(scale))).tolist()
    return result


def consensus(values: dict[str, np.ndarray]) -> np.ndarray:
    """Weighted mean of each member's mid-rank in [0, 1] over all entries; the best entry gets 1. Shapes are kept."""
    total = np.zeros(next(iter(values.values())).shape, dtype=np.float64)
    for name, weight in TEACHER_WEIGHTS.items():
        order = np.sort(values[name], axis=None)
        low = np.searchsorted(order, values[name].ravel(), side="left")
        high = np.searchsorted(order, values[name].ravel(), side="right")
        total += weight * ((low + high - 1) / 2 / max(1, order.size - 1)).reshape(total.shape)
    total /= sum(TEACHER_WEIGHTS.values())
    return (total / total.max()).astype(np.float32)
