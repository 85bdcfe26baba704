"""The convolution that reads the picture: filters of 6 x 6 pixels, by two, of values about zero.

It is the largest single piece of a gradient. What torch's backward pass makes of it takes three times as long as the
same derivatives by an ordinary convolution, of 3 x 3 places to the four pixels of each place.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.networks.compiled import as_rows, blank, by_tensors, compiles, each, kernels

_kernels = partial(kernels, "feature_kernels")


def filters(width: int) -> nn.Conv2d:
    """Filters whose pixels are centred on the places of what they give: (N, 3, H, W) to (N, width, H / 2, W / 2)."""
    return nn.Conv2d(3, width, 6, stride=2, padding=2)


def filtered(image: torch.Tensor, by: nn.Conv2d) -> torch.Tensor:
    """:func:`filters` of ``2 x - 1``: (N, 3, H, W) in [0, 1], even sides, to (N, width, H / 2, W / 2)."""
    # Twice the weights on x - 1/2 are the weights on 2 x - 1, to the bit, and one pass over the picture less.
    weights = 2.0 * by.weight
    if compiles(image, differentiable=True, weights=by):
        return _Filtered.apply(image, weights, by.bias)  # type: ignore[no-any-return, no-untyped-call]
    return _by_tensors(image, weights, by.bias)


def _by_tensors(image: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    centered = (image - 0.5).contiguous(memory_format=torch.channels_last)
    return nnf.conv2d(centered, weights, bias, stride=2, padding=2)


class _Filtered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(image, weights, bias)
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else image.dtype
        centered = blank(image, 3, 1.0, kind)
        each(_kernels().center, centered, list(image.detach().contiguous().numpy()), as_rows(centered))
        return nnf.conv2d(centered, weights, bias, stride=2, padding=2)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        image, weights, bias = ctx.saved_tensors
        if torch.is_grad_enabled():
            return by_tensors(lambda: [_by_tensors(image, weights, bias)], [image], [upstream])[0], None, None
        squares = nnf.conv2d(upstream, _adjoint(weights), padding=1).contiguous(memory_format=torch.channels_last)
        found = torch.empty(image.shape)
        each(_kernels().spread_squares, squares, as_rows(squares), list(found.numpy()))
        return found, None, None


def _adjoint(weights: torch.Tensor) -> torch.Tensor:
    """Weights (O, 3, 6, 6) of a convolution by two, padding 2, to those of its adjoint, (12, O, 3, 3), padding 1.

    The twelve are the colours of the upper left pixel of a square, the upper right one, and the two below.
    """
    # Pixel 2 m + p is read by place m - 1 + u through weight 4 - 2 u + p: even weights for p = 0, odd for p = 1.
    split = weights.unflatten(3, (3, 2)).unflatten(2, (3, 2)).flip(2, 4)  # O, 3, u, p, v, q
    return split.permute(3, 5, 1, 0, 2, 4).flatten(0, 2)
