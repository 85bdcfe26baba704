"""Denoising in the RAW domain: on the mosaic, before anything mixes the colours."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters

# Where a file does not say how noisy it is: about ISO 400 of a full-frame camera.
_SHOT, _READ = 3e-4, 1e-6
_RING = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]


class RawDenoise(Stage):
    """Sigma filter on each of the four colour planes: the mean of a pixel and those of its eight neighbours that differ
    by noise alone, after the shot's own noise model (variance = shot noise * signal + read noise).

    Source: Lee, Digital image smoothing and the sigma filter, 1983, with Gaussian weights; noise of Foi et al. 2008.
    """

    name = "raw_denoise"
    parameters: ClassVar[Parameters] = {
        "strength": Parameter(0.0, 1.0, 0.5, unit="fraction", doc="Share of the filtered value. 0 neutral."),
        "threshold": Parameter(
            0.3, 6.0, 1.5, unit="noise deviations", log=True, doc="Differences up to this are averaged away."
        ),
    }
    neutral: ClassVar[dict[str, float]] = {"strength": 0.0}
    takes = "mosaic"
    gives = "mosaic"

    def apply(self, image: Tensor, shot: Shot, strength: Tensor, threshold: Tensor) -> Tensor:
        """(N, 1, H, W), even sides, to the same."""
        planes = pixel_unshuffle(image, 2)
        shot_noise = _SHOT if shot.shot_noise is None else shot.shot_noise
        read_noise = _READ if shot.read_noise is None else shot.read_noise
        variance = shot_noise * planes.clamp(min=0.0) + max(read_noise, 1e-9)
        scale = 1.0 / (2.0 * threshold**2 * variance)
        wide = pad(planes, (1, 1, 1, 1), mode="reflect")
        rows, columns = planes.shape[-2:]
        total, weights = planes, torch.ones_like(planes)
        for down, right in _RING:
            other = wide[..., 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
            weight = torch.exp(-(other - planes).square() * scale)
            total, weights = total + weight * other, weights + weight
        return pixel_shuffle(torch.lerp(planes, total / weights, strength), 2)
