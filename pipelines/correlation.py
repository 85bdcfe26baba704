"""Correlation of every plane with one small kernel, with a fast gradient.

For one or a few planes PyTorch's convolution is quick forwards, but its backward pass is ten times slower than that
(oneDNN, CPU). A small kernel is as well a sum of shifted pictures, and so is its gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad


def correlate(image: Tensor, kernel: Tensor) -> Tensor:
    """Correlation without padding, as ``conv2d`` of each plane by itself; differentiable once, in both arguments.

    Args:
        image: (N, C, H, W).
        kernel: (h, w), the same for every plane; h <= H, w <= W.

    Returns:
        (N, C, H - h + 1, W - w + 1).
    """
    return _Correlation.apply(image, kernel)  # type: ignore[no-untyped-call]


def mirrored(image: Tensor, rows: int, columns: int) -> Tensor:
    """``image`` with a border of ``rows`` and ``columns`` mirrored pixels on each side, edge pixels not repeated.

    As ``pad`` in mode "reflect", whose gradient takes six times as long. Differentiable once.

    Args:
        image: (N, C, H, W), H above ``rows`` and W above ``columns``.
        rows, columns: >= 0.

    Returns:
        (N, C, H + 2 rows, W + 2 columns).
    """
    return _Mirrored.apply(image, rows, columns)  # type: ignore[no-untyped-call]


def box_mean(image: Tensor, side: int) -> Tensor:
    """Mean of ``side`` x ``side`` pixels about each, ``side`` odd, borders mirrored; (N, C, H, W) to the same."""
    taps = image.new_full((side,), 1.0 / side)
    wide = mirrored(image, side // 2, side // 2)
    return correlate(correlate(wide, taps.view(-1, 1)), taps.view(1, -1))


class _Mirrored(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, rows: int, columns: int) -> Tensor:
        ctx.borders = ((-1, columns), (-2, rows))
        return pad(image, (columns, columns, rows, rows), mode="reflect")

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        folded = gradient.clone()
        for dim, border in ctx.borders:
            inside = folded.narrow(dim, border, folded.shape[dim] - 2 * border)
            last = inside.shape[dim] - 1 - border
            inside.narrow(dim, 1, border).add_(folded.narrow(dim, 0, border).flip(dim))
            inside.narrow(dim, last, border).add_(folded.narrow(dim, folded.shape[dim] - border, border).flip(dim))
            folded = inside
        return folded, None, None


class _Correlation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, kernel: Tensor) -> Tensor:
        # Without need it is not kept: what is free again, the next operation finds in the processor's cache.
        ctx.save_for_backward(kernel, *([image] if ctx.needs_input_grad[1] else []))
        ctx.shape = image.shape
        size = _size(image.shape, kernel)
        result = image.new_zeros((*image.shape[:2], *size))
        for (down, right), tap in _taps(kernel):
            result.add_(_window(image, down, right, size), alpha=tap)
        return result

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        kernel, *images = ctx.saved_tensors
        size = _size(ctx.shape, kernel)
        to_image = to_kernel = None
        if ctx.needs_input_grad[0]:
            to_image = gradient.new_zeros(ctx.shape)
            for (down, right), tap in _taps(kernel):
                _window(to_image, down, right, size).add_(gradient, alpha=tap)
        if ctx.needs_input_grad[1]:
            # With zeros in place of the border every tap's window begins a fixed way into the memory.
            (rows, columns), width = kernel.shape, ctx.shape[-1]
            spread, flat = pad(gradient, (0, columns - 1, 0, rows - 1)).flatten(), images[0].flatten()
            ways = [down * width + right for down in range(rows) for right in range(columns)]
            sums = [torch.dot(spread[: len(flat) - way], flat[way:]) for way in ways]
            to_kernel = torch.stack(sums).view(kernel.shape)
        return to_image, to_kernel


def _size(image: torch.Size, kernel: Tensor) -> tuple[int, int]:
    return image[-2] - kernel.shape[0] + 1, image[-1] - kernel.shape[1] + 1


def _taps(kernel: Tensor) -> list[tuple[tuple[int, int], float]]:
    """Place and value of each tap that is not 0."""
    rows = kernel.detach().tolist()
    return [((i, j), tap) for i, row in enumerate(rows) for j, tap in enumerate(row) if tap]


def _window(image: Tensor, down: int, right: int, size: tuple[int, int]) -> Tensor:
    return image[..., down : down + size[0], right : right + size[1]]
