"""Denoising in the RAW domain: on the mosaic, before anything mixes the colours."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from pipelines.correlation import mirrored
from pipelines.isp.stage import Shot, Stage
from pipelines.parameters import Parameter, Parameters
from pipelines.pointwise import blended, clamped, scaled

# Where a file does not say how noisy it is: about ISO 400 of a full-frame camera.
_SHOT, _READ = 3e-4, 1e-6


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
        variance = shot_noise * clamped(planes, low=0.0) + max(read_noise, 1e-9)
        scale = scaled(variance.reciprocal(), 0.5 / threshold.square())
        smooth = _Sigma.apply(mirrored(planes, 1, 1), planes, scale)  # type: ignore[no-untyped-call]
        return pixel_shuffle(blended(planes, smooth, strength), 2)


class _Sigma(torch.autograd.Function):
    """Mean of a pixel ``x``, weight 1, and its neighbours ``y``, weights ``exp(-(y - x)^2 * scale)``.

    Takes the planes with a border of 1, the planes and the scale.
    """

    @staticmethod
    def forward(ctx: Any, wide: Tensor, planes: Tensor, scale: Tensor) -> Tensor:
        total, weights, exponent = planes.clone(), torch.ones_like(planes), -scale
        weight = torch.empty_like(planes)  # one for all: memory at hand is faster than new memory
        for other in _ring(wide):
            torch.sub(other, planes, out=weight).square_().mul_(exponent).exp_()
            weights.add_(weight)
            total.addcmul_(weight, other)
        mean = total.div_(weights)
        ctx.save_for_backward(wide, planes, scale, weights, mean)
        return mean

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        wide, planes, scale, weights, mean = ctx.saved_tensors
        share, exponent, twice = gradient / weights, -scale, 2.0 * scale
        to_wide, to_planes, to_scale = torch.zeros_like(wide), share.clone(), torch.zeros_like(scale)
        difference, direct, by_weight = (torch.empty_like(planes) for _ in range(3))
        for other, to_other in zip(_ring(wide), _ring(to_wide), strict=True):
            torch.sub(other, planes, out=difference)
            # The gradient to the neighbour itself, then by way of its weight: that of the weight's logarithm is
            # direct * (other - mean).
            torch.mul(difference, difference, out=direct).mul_(exponent).exp_().mul_(share)
            torch.sub(other, mean, out=by_weight).mul_(direct).mul_(difference)
            to_scale.addcmul_(by_weight, difference, value=-1.0)
            by_weight.mul_(twice)
            to_planes.add_(by_weight)
            to_other.add_(direct.sub_(by_weight))
        return to_wide, to_planes, to_scale


def _ring(wide: Tensor) -> list[Tensor]:
    """Views of the eight neighbours of every pixel inside a border of 1."""
    rows, columns = (side - 2 for side in wide.shape[-2:])
    places = [(down, right) for down in range(3) for right in range(3) if (down, right) != (1, 1)]
    return [wide[..., down : down + rows, right : right + columns] for down, right in places]
