"""JPEG with a gradient to the quantisation tables that says what coarser steps do to the picture."""

from __future__ import annotations

import math

import torch
from kornia.color import rgb_to_ycbcr, ycbcr_to_rgb
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from pipelines.compression.dct import block_dct, inverse_block_dct

SPAN = 0.25
"""The derivative is a difference over steps of e^-0.25 to e^0.25 times the table's."""


def soft_jpeg(image: Tensor, luma: Tensor, chroma: Tensor) -> Tensor:
    """A 4:2:0 JPEG of (N, 3, H, W) in [0, 1] with unrounded tables (8, 8), differentiable in both tables.

    Rounding has the derivative 0 or none, and a step's effect on a picture is in the jumps: coefficients that go to 0.
    Here every coefficient lies somewhere, uniformly at random, between its values after finer and after coarser
    quantisation (steps times e^-h and e^h, h = :data:`SPAN`), and its derivative by the logarithm of its step is their
    difference over 2 h. A function's gradient by the tables is then its change between the two quantised pictures,
    shared among the coefficients as the integral of its gradient along the way does it (Aumann and Shapley 1974;
    integrated gradients, Sundararajan et al. 2017); the random places stand for the integral, as the uniform noise of
    learned compression does for rounding (Ballé et al. 2017). Random numbers come from torch's generator.

    The picture itself is a little closer to the original than a quantised one: an average of two errors.
    """
    height, width = image.shape[-2:]
    padded = pad(image, (0, -width % 16, 0, -height % 16), mode="replicate")
    colors = 255.0 * rgb_to_ycbcr(padded) - 128.0
    small = avg_pool2d(colors[:, 1:], 2)
    planes = [
        inverse_block_dct(_quantised(block_dct(plane), table), plane)
        for plane, table in ((colors[:, :1], luma), (small, chroma))
    ]
    large = interpolate(planes[1], scale_factor=2, mode="bilinear", align_corners=False)
    return ycbcr_to_rgb((torch.cat([planes[0], large], 1) + 128.0) / 255.0)[..., :height, :width]


def _quantised(coefficients: Tensor, table: Tensor) -> Tensor:
    steps = table.reshape(64)
    with torch.no_grad():
        fine, coarse = (
            torch.round(coefficients / scaled) * scaled for scaled in (steps * math.exp(-SPAN), steps * math.exp(SPAN))
        )
    change = (steps.log() - steps.log().detach()) / (2.0 * SPAN)
    through = coefficients - coefficients.detach()  # to the picture rounding is the identity
    return fine + (coarse - fine) * (torch.rand_like(coefficients) + change) + through
