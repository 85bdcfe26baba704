"""Classical full-reference metrics, by piq: what the judges are compared with, and labelled by.

VSI (Zhang et al. 2014), MDSI (Nafchi et al. 2016) and HaarPSI (Reisenhofer et al. 2018) carry constants that their
authors chose on human ratings; PSNR does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import piq
import torch
from scipy.stats import rankdata

Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# name -> (metric, +1 where higher is better, -1 where lower is better)
METRICS: dict[str, tuple[Metric, int]] = {
    "vsi": (lambda x, y: piq.vsi(x, y, reduction="none"), 1),
    "mdsi": (lambda x, y: piq.mdsi(x, y, reduction="none"), -1),
    "haarpsi": (lambda x, y: piq.haarpsi(x, y, reduction="none"), 1),
    "psnr": (lambda x, y: piq.psnr(x, y, reduction="none"), 1),
    "ssim": (lambda x, y: piq.ssim(x, y, reduction="none"), 1),  # type: ignore[return-value]
    "ms_ssim": (lambda x, y: piq.multi_scale_ssim(x, y, reduction="none"), 1),
    "gmsd": (lambda x, y: piq.gmsd(x, y, reduction="none"), -1),
    "fsim": (lambda x, y: piq.fsim(x, y, reduction="none"), 1),
    "vif": (lambda x, y: piq.vif_p(x, y, reduction="none"), 1),
    "sr_sim": (lambda x, y: piq.srsim(x, y, reduction="none"), 1),
    "dss": (lambda x, y: piq.dss(x, y, reduction="none"), 1),
}

MIN_SIDES: dict[str, int] = {"ms_ssim": 161, "vif": 41, "sr_sim": 40, "dss": 32}
"""The shorter side in pixels from which piq 0.8 gives a value; the metrics not named here take 16."""

TITLES: dict[str, str] = {
    "vsi": "VSI",
    "mdsi": "MDSI",
    "haarpsi": "HaarPSI",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "gmsd": "GMSD",
    "fsim": "FSIMc",
    "vif": "VIF (pixel)",
    "sr_sim": "SR-SIM",
    "dss": "DSS",
    "consensus": "rank consensus",
    "judge": "judge",
}
"""How tables and plots call a method."""

CONSENSUS_WEIGHTS: dict[str, float] = {"vsi": 1.0, "mdsi": 1.0, "haarpsi": 1.0, "psnr": 0.5}
"""The consensus that labels training pictures: rank average of the three metrics, and of PSNR at half weight."""


@torch.no_grad()
def classical_metrics(
    test: torch.Tensor, ref: torch.Tensor, names: tuple[str, ...] = ("vsi", "mdsi", "haarpsi", "psnr")
) -> dict[str, list[float]]:
    """The named metrics of a batch (N, 3, H, W) in [0, 1] against references of the same shape.

    Values as piq defines them (MDSI and GMSD: lower is better). Pictures of 16 pixels and up are taken; a metric
    whose :data:`MIN_SIDES` is above the pictures' shorter side gives NaN for them.
    """
    test, ref = test.clamp(0, 1), ref.clamp(0, 1)
    side = min(test.shape[-2:])
    found = {}
    for name in names:
        if side < MIN_SIDES.get(name, 0):
            found[name] = [math.nan] * test.shape[0]
        else:
            found[name] = METRICS[name][0](test, ref).reshape(-1).tolist()
    return found


def rank_consensus(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The weighted rank average of :data:`CONSENSUS_WEIGHTS` over n pictures, in [0, 1], higher is better.

    Args:
        values: the four metrics, (n,) each, as piq defines them (MDSI: lower is better).

    Ties share their mean rank. Depends on which pictures are ranked together: it is no metric of one picture.
    """
    count = len(next(iter(values.values())))
    total = np.zeros(count)
    for name, weight in CONSENSUS_WEIGHTS.items():
        total += weight * (rankdata(METRICS[name][1] * values[name]) - 1) / max(1, count - 1)
    return total / sum(CONSENSUS_WEIGHTS.values())
