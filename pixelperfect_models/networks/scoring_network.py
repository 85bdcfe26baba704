"""S(test, ref): one relational score, anti-symmetric by construction, built on F's maps and streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.networks.antisymmetric import OddEvenBlock, at_least_float32
from pixelperfect_models.networks.decoders import Decoded

# Keeps the root's gradient finite at zero; it cancels in the difference of the two parts.
_EPSILON = 1e-6
_GAIN = 10.0


class Scored(NamedTuple):
    score: torch.Tensor
    """(N,), positive where test looks better than ref."""
    embedding: torch.Tensor
    """(N, E), odd; what the contrastive loss sees."""


class Streams(NamedTuple):
    """What S reads of F's answer, at stride 8: (N, stream + types, H / 8, W / 8) each."""

    odd: torch.Tensor
    even: torch.Tensor


def pool_streams(decoded: Decoded) -> Streams:
    """F's streams and logits, averaged to stride 8: what S starts from. Has no weights, so it can be cached."""
    odd = torch.cat([decoded.odd, decoded.logits], dim=1)
    even = torch.cat([decoded.even, decoded.logits.abs()], dim=1)
    return Streams(*(nnf.avg_pool2d(at_least_float32(x), 2, ceil_mode=True) for x in (odd, even)))


class ScoringNetwork(nn.Module):
    """Odd/even blocks at several scales over F's streams, pooled by three norms, then direction times magnitude.

    How far apart two pictures are in quality is even, which of them is the better one is odd; like F's logits, the
    score is a sum of products of the two. A linear reading of odd features alone cannot tell much: what a blur adds
    in one channel it takes away in another (docs/experiments.md).

    Args:
        types: K, channels of F's logits.
        stream: channels of F's odd and even streams.
        width: channels of this network's streams.
        scales: number of scales, stride 8 first, each half of the one before.
        embedding: size of the hidden odd and even vectors.
        heads: E, number of products that are added up; they are the embedding too.
        powers: the norms of the pooling. 1 weighs every pixel alike, higher ones the worst places.
    """

    def __init__(
        self,
        types: int,
        stream: int,
        width: int = 32,
        scales: int = 3,
        embedding: int = 64,
        heads: int = 16,
        powers: Sequence[int] = (1, 2, 4),
    ) -> None:
        super().__init__()
        self.powers = tuple(powers)
        self.odd = nn.Conv2d(stream + types, width, 1, bias=False)
        self.even = nn.Conv2d(stream + types, width, 1)
        self.blocks = nn.ModuleList(OddEvenBlock(width) for _ in range(scales))
        pooled = scales * width * len(self.powers)
        self.context = nn.Linear(pooled + scales * width, embedding)
        self.magnitude = nn.Linear(embedding, heads)
        self.gate = nn.Linear(embedding, embedding)
        self.reading = nn.Linear(pooled, embedding, bias=False)
        self.direction = nn.Linear(embedding, heads, bias=False)

    def forward(self, streams: Streams) -> Scored:
        """``streams`` as :func:`pool_streams` gives them."""
        odd, even = self.odd(streams.odd), self.even(streams.even)
        signed: list[torch.Tensor] = []
        amounts: list[torch.Tensor] = []
        for index, block in enumerate(self.blocks):
            if index:
                odd, even = (nnf.avg_pool2d(x, 2, ceil_mode=True) for x in (odd, even))
            odd, even = block(odd, even)
            wide = at_least_float32(odd)
            signed.extend(_signed_norm(wide, power) for power in self.powers)
            amounts.extend(_norm(wide.abs(), power) for power in self.powers)
            amounts.append(at_least_float32(even).mean((2, 3)))
        # Just visible differences are a tenth of severe ones in intensity: compressed, both move the layers behind.
        context = nnf.relu(self.context(torch.asinh(_GAIN * torch.cat(amounts, dim=1))))
        reading = self.reading(torch.asinh(_GAIN * torch.cat(signed, dim=1)))
        hidden = torch.tanh(reading * (2.0 * torch.sigmoid(self.gate(context))))
        products = torch.tanh(self.direction(hidden)) * nnf.softplus(self.magnitude(context))
        return Scored(products.sum(dim=1), products)


def _norm(values: torch.Tensor, power: int) -> torch.Tensor:
    """Power mean over space of values >= 0, (N, C, H, W) to (N, C)."""
    return (values.pow(power).mean((2, 3)) + _EPSILON).pow(1 / power)


def _signed_norm(odd: torch.Tensor, power: int) -> torch.Tensor:
    """Norm of the positive part minus norm of the negative part over space, (N, C, H, W) to (N, C): odd."""
    if power == 1:
        return odd.mean((2, 3))
    return _norm(odd.clamp(min=0), power) - _norm((-odd).clamp(min=0), power)
