"""F's decoder where no gradient is asked for, on a CPU: the same convolutions, and between them few passes.

At a megapixel half of F's time would go into reading and writing features between its convolutions, once for every
difference, root, square and sum. :mod:`feature_kernels` does in one pass what lies between two convolutions. The
answers are those of :class:`PyramidDecoder`, but for the rounding of sums, with the same symmetries.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.networks.antisymmetric import resize
from pixelperfect_models.networks.compiled import KINDS, as_rows, blank, compiles, each, kernels
from pixelperfect_models.networks.decoders import PyramidDecoder, double, fit

_kernels = partial(kernels, "feature_kernels")


def decodes(decoder: nn.Module, features: Sequence[torch.Tensor]) -> bool:
    """Whether :func:`decode` can take these features, of both pictures."""
    return type(decoder) is PyramidDecoder and compiles(*features, kinds=KINDS, weights=decoder)


def decode(decoder: PyramidDecoder, test: list[torch.Tensor], ref: list[torch.Tensor]) -> torch.Tensor:
    """:class:`PyramidDecoder` of two pictures' features, N each: logits (N, K, h, w) at stride 4."""
    odd, even = decoder.fine(test[0], ref[0])
    x = blank(even, 2 * decoder.width)
    each(_kernels().positive_and_magnitude, even, as_rows(even), as_rows(odd), decoder.width, as_rows(x))
    levels: list[torch.Tensor] = []
    for index, (down, stage) in enumerate(zip(decoder.down, decoder.stages, strict=True)):
        x = down(nnf.relu(x) if index > 0 else x)
        if index < len(decoder.merges):
            odd_here, even_here = decoder.merges[index](test[index + 1], ref[index + 1])
            x = even_here.add_(fit(x, even_here.shape[-2:])).add_(decoder.enter[index](odd_here.abs()))
            odd = _add_resized(odd_here, odd)
        x = stage(x)
        levels.append(x)
    up: torch.Tensor | None = None
    for level, lateral in zip(reversed(levels[1:]), reversed(decoder.lateral), strict=True):
        here = lateral(nnf.relu(level))
        up = here if up is None else here.add_(double(up, here.shape[-2:]))
    x = levels[0] if up is None else _add_doubled(up, levels[0])
    even = _add_resized(decoder.smooth(x.relu_()).relu_(), even).relu_()
    odd *= decoder.gate(even).sigmoid_()
    # The gate's factor of two, to the bit, on the few weights that read it.
    direction = nnf.conv2d(odd, 2.0 * decoder.direction.weight, padding=1)
    return direction.tanh_() * decoder.magnitude(even)


def _add_resized(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """``fine``, which may be overwritten, and ``coarse`` at its size."""
    if fine.shape[-2:] == (2 * coarse.shape[-2], 2 * coarse.shape[-1]):
        return _add_doubled(coarse, fine)
    return fine.add_(resize(coarse, fine.shape[-2:]))


def _add_doubled(coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """``fine``, which may be overwritten, and ``coarse`` at twice its size, cut to that (:func:`decoders.double`)."""
    fine = fine.contiguous(memory_format=torch.channels_last)  # as convolutions give it, but for some without oneDNN
    each(_kernels().add_doubled, fine, as_rows(coarse), coarse.shape[1], as_rows(fine))
    return fine
