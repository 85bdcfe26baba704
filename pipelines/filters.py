"""Small filters that several pipelines share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipelines.correlation import correlate, mirrored

TRUNCATE = 3.0
"""A Gaussian kernel ends here, in units of the largest sigma it may be asked for."""


def gaussian_blur(image: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Gaussian blur, differentiable in ``image`` and ``sigma``.

    Args:
        image: (N, C, H, W), sides above ``3 * largest``.
        sigma: 0-dim, standard deviation in pixels, > 0.
        largest: the upper bound of ``sigma``, pixels. The kernel's size follows from it and not from
            ``sigma``, so that the output is a smooth function of ``sigma`` and not one with a step wherever a
            tap is added.

    Returns:
        (N, C, H, W). The border is mirrored without repeating the edge pixel (scipy's ``mode="mirror"``).
    """
    radius = math.ceil(TRUNCATE * largest)
    places = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    taps = torch.softmax(-places.square() / (2.0 * sigma.to(image.dtype).square()), 0)
    wide = mirrored(image, radius, radius)
    return correlate(correlate(wide, taps.view(-1, 1)), taps.view(1, -1))
