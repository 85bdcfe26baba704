"""Classical full-reference metrics, by piq: what the judges are compared with, and labelled by.

VSI (Zhang et al. 2014), MDSI (Nafchi et al. 2016) and HaarPSI (Reisenhofer et al. 2018) carry constants that their
authors chose on human ratings; PSNR does not.
"""

from __future__ import annotations

from collections.abc import Callable

import piq
import torch

Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# name -> (metric, +1 where higher is better, -1 where lower is better)
METRICS: dict[str, tuple[Metric, int]] = {
    "vsi": (lambda x, y: piq.vsi(x, y, reduction="none"), 1),
    "mdsi": (lambda x, y: piq.mdsi(x, y, reduction="none"), -1),
    "haarpsi": (lambda x, y: piq.haarpsi(x, y, reduction="none"), 1),
    "psnr": (lambda x, y: piq.psnr(x, y, reduction="none"), 1),
    "ssim": (lambda x, y: piq.ssim(x, y, reduction="none"), 1),  # type: ignore[return-value]
    "gmsd": (lambda x, y: piq.gmsd(x, y, reduction="none"), -1),
    "fsim": (lambda x, y: piq.fsim(x, y, reduction="none"), 1),
}

CONSENSUS_WEIGHTS: dict[str, float] = {"vsi": 1.0, "mdsi": 1.0, "haarpsi": 1.0, "psnr": 0.5}
"""The consensus that labels training pictures: rank average of the three metrics, and of PSNR at half weight."""


@torch.no_grad()
def classical_metrics(
    test: torch.Tensor, ref: torch.Tensor, names: tuple[str, ...] = ("vsi", "mdsi", "haarpsi", "psnr")
) -> dict[str, list[float]]:
    """The named metrics of a batch (N, 3, H, W) in [0, 1] against references of the same shape.

    Values as piq defines them (MDSI and GMSD: lower is better). Pictures of 16 pixels and up are taken; SSIM and
    HaarPSI need at least 16.
    """
    test, ref = test.clamp(0, 1), ref.clamp(0, 1)
    return {name: METRICS[name][0](test, ref).reshape(-1).tolist() for name in names}
