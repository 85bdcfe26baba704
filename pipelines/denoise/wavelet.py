"""Shrinkage of an undecimated B3-spline wavelet transform, luma and chroma apart (differentiable)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from pipelines.color import from_ycbcr, plane_values, to_ycbcr
from pipelines.denoise.base import SHARPEN, Denoiser
from pipelines.parameters import Parameter, Parameters

B3_SPLINE = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""The scaling filter of the starlet transform (Starck, Fadili and Murtagh, IEEE TIP 2007)."""

NOISE_GAIN = (0.8908, 0.2007, 0.0856, 0.0413)
"""Deviation of white noise of deviation 1 on each scale, finest first (Starck and Murtagh)."""


class Wavelet(Denoiser):
    """Starlet shrinkage: split each of Y', Cb and Cr into scales, shrink small coefficients, add up.

    On scale j coefficients below ``threshold * NOISE_GAIN[j]`` vanish and larger ones shrink, so that one
    threshold cuts white noise alike on all scales: ``threshold = k * noise deviation`` cuts at k sigma.
    Nothing is decimated: no blocks, and any picture size.
    """

    name = "denoise.wavelet"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "threshold": Parameter(
            0.002,
            0.5,
            0.06,
            unit="intensity",
            log=True,
            doc="Luma strength; about twice the luma noise's deviation.",
        ),
        "chroma_threshold": Parameter(
            0.002,
            0.5,
            0.08,
            unit="intensity",
            log=True,
            doc="Chroma strength; too large drains small coloured detail.",
        ),
        "levels": Parameter(
            1,
            len(NOISE_GAIN),
            3,
            integer=True,
            doc="Scales that are shrunk: detail of up to 2, 4, 8 or 16 px.",
        ),
        **SHARPEN,
    }

    def denoise(self, image: Tensor, threshold: Tensor, chroma_threshold: Tensor, levels: int) -> Tensor:
        """(N, 3, H, W) to the same."""
        smooth = to_ycbcr(image)
        limits = plane_values(threshold, chroma_threshold)
        kept = torch.zeros_like(smooth)
        for level, gain in enumerate(NOISE_GAIN[:levels]):
            smoother = b3_smooth(smooth, 2**level)
            detail = smooth - smoother
            kept = kept + garrote(detail, limits * gain)
            smooth = smoother
        return from_ycbcr(smooth + kept)


def garrote(coefficients: Tensor, limit: Tensor) -> Tensor:
    """Shrink: ``w - limit**2 / w`` where ``|w| > limit``, else 0; differentiable in both, ``limit > 0``.

    The non-negative garrote (Gao, Wavelet shrinkage denoising using the non-negative garrote, J. Comput.
    Graph. Stat. 1998): continuous as soft thresholding is, but strong edges keep nearly all of their height.
    """
    squared_limit = limit.square()
    return coefficients * (1.0 - squared_limit / torch.maximum(coefficients.square(), squared_limit))


def b3_smooth(image: Tensor, spacing: int) -> Tensor:
    """One a-trous step: (N, C, H, W) smoothed by a B3 spline whose taps are ``spacing`` px apart.

    The border is repeated, since on the coarsest scale the kernel reaches further than a small picture is
    wide.
    """
    channels, reach = image.shape[1], 2 * spacing
    kernel = image.new_tensor(B3_SPLINE).expand(channels, 1, 5)
    rows = pad(image, (reach, reach, 0, 0), mode="replicate")
    smooth = conv2d(rows, kernel[:, :, None, :], dilation=(1, spacing), groups=channels)
    columns = pad(smooth, (0, 0, reach, reach), mode="replicate")
    return conv2d(columns, kernel[:, :, :, None], dilation=(spacing, 1), groups=channels)
