"""Guided filter with a grey guide, differentiable and fast backwards."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.correlation import box_mean
from pipelines.enlarge import enlarge


def guided_filter(guide: Tensor, image: Tensor, window: int, eps: Tensor | float, subsample: int = 1) -> Tensor:
    """Where the guide's variance in the window is far below ``eps`` the picture becomes its local mean, else it stays.

    As Kornia's ``guided_blur`` of a grey guide, which tests compare it with; but its box filter's backward pass takes
    most of an ISP's time. Source: He, Sun and Tang, *Guided image filtering*, 2013; ``subsample``: He and Sun, *Fast
    guided filter*, 2015.

    Args:
        guide: (N, 1, H, W).
        image: (N, C, H, W); ``guide`` itself for a self-guided filter.
        window: side of the window, odd, pixels.
        eps: variance, of intensity squared; a number, or (N,).
        subsample: the linear model is fitted to every ``subsample``-th pixel.

    Returns:
        (N, C, H, W).
    """
    few, side = _every(guide, subsample), (window - 1) // subsample + 1
    side += 1 - side % 2
    mean = box_mean(few, side)
    variance = box_mean(few.square(), side) - mean.square()
    if image is guide:
        image_mean, covariance = mean, variance
    else:
        sampled = _every(image, subsample)
        image_mean = box_mean(sampled, side)
        covariance = box_mean(few * sampled, side) - mean * image_mean
    slope = covariance / (variance + (eps.view(-1, 1, 1, 1) if isinstance(eps, Tensor) else eps))
    offset = image_mean - slope * mean
    slope, offset = box_mean(slope, side), box_mean(offset, side)
    if subsample > 1:
        slope, offset = (enlarge(x, (guide.shape[-2], guide.shape[-1])) for x in (slope, offset))
    return slope * guide + offset


def _every(image: Tensor, step: int) -> Tensor:
    """Every ``step``-th row and column; of sides that are no multiples, those that enlarging puts back in place."""
    for dim in (-2, -1):
        size = image.shape[dim]
        if size % step:
            count = max(size // step, 1)
            index = torch.arange(count, device=image.device)
            at = ((2 * index + 1) * size + count * (1 - step)).div(2 * count, rounding_mode="floor")
            image = image.index_select(dim, at.clamp(0, size - 1))
        else:
            image = image[..., ::step, :] if dim == -2 else image[..., ::step]
    return image
