"""Bilinear enlargement by four, bound by memory alone: full-size maps are the largest thing the judge writes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as nnf

from pixelperfect_models.networks.compiled import as_rows, by_tensors, compiles, kernels, transformed
from pixelperfect_models.networks.threads import in_rows

# Four samples between two pixels' centres: share of the next pixel, from the half of a pixel before it to that after.
BEFORE, AFTER = (0.625, 0.875), (0.125, 0.375)


def enlarge_by_four(image: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) to (N, C, 4 h, 4 w), plane by plane: ``interpolate(mode="bilinear", align_corners=False)``.

    Twice as fast, and so is its gradient: whole rows are blended instead of single pixels gathered.
    """
    if compiles(image):
        return _compiled(image)
    return _by_interpolation(image) if transformed() else _EnlargeByFour.apply(image)  # type: ignore[no-untyped-call]


def _by_interpolation(image: torch.Tensor) -> torch.Tensor:
    return nnf.interpolate(image, scale_factor=4.0, mode="bilinear")


def _compiled(image: torch.Tensor) -> torch.Tensor:
    count, channels, height, width = image.shape
    found = torch.empty(count, channels, 4 * height, 4 * width)
    for rows, planes in zip(as_rows(image), found.numpy(), strict=True):
        in_rows(height, kernels("map_kernels").enlarge_by_four, rows, planes)
    return found


class _EnlargeByFour(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(image)
        # Whoever reads maps reads one channel at a time: planes in one piece, though the network works channels last.
        return _along(_along(image.contiguous(), 3), 2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor | None:
        if torch.is_grad_enabled():
            (image,) = ctx.saved_tensors
            return by_tensors(lambda: [_by_interpolation(image)], [image], [gradient])[0]
        return _back_along(_back_along(gradient.contiguous(), 2), 3)


def _along(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Four times as many samples of a contiguous tensor along ``dim``, the ends repeated."""
    count = x.shape[dim]
    padded = torch.cat([x.narrow(dim, 0, 1), x, x.narrow(dim, count - 1, 1)], dim)
    before, here, after = (padded.narrow(dim, shift, count) for shift in range(3))
    result = x.new_empty([*x.shape[: dim + 1], 4, *x.shape[dim + 1 :]])
    for place, share in enumerate(BEFORE):
        torch.lerp(before, here, share, out=result.select(dim + 1, place))
    for place, share in enumerate(AFTER, start=2):
        torch.lerp(here, after, share, out=result.select(dim + 1, place))
    return result.flatten(dim, dim + 1)


def _back_along(gradient: torch.Tensor, dim: int) -> torch.Tensor:
    """The transpose of :func:`_along`: what each of the few samples gave to the many, collected."""
    count = gradient.shape[dim] // 4
    samples = [x.squeeze(dim + 1) for x in gradient.unflatten(dim, (count, 4)).split(1, dim + 1)]
    padded = gradient.new_zeros([*gradient.shape[:dim], count + 2, *gradient.shape[dim + 1 :]])
    before, here, after = (padded.narrow(dim, shift, count) for shift in range(3))
    for sample, share in zip(samples[:2], BEFORE, strict=True):
        before.add_(sample, alpha=1.0 - share)
        here.add_(sample, alpha=share)
    for sample, share in zip(samples[2:], AFTER, strict=True):
        here.add_(sample, alpha=1.0 - share)
        after.add_(sample, alpha=share)
    result = padded.narrow(dim, 1, count)
    result.narrow(dim, 0, 1).add_(padded.narrow(dim, 0, 1))
    result.narrow(dim, count - 1, 1).add_(padded.narrow(dim, count + 1, 1))
    return result
