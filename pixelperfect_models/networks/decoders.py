"""Decoders: features of test and reference to one logit a channel, anti-symmetric by construction.

Each takes two lists of features, finest first, and gives ``Decoded``: logits at the finest decoded scale and the
two streams the scoring network builds on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.networks.antisymmetric import OddEvenMerge, resize
from pixelperfect_models.networks.encoders import ResidualBlock


class Decoded(NamedTuple):
    """What a decoder gives: all at stride 4, (N, ., H / 4, W / 4)."""

    logits: torch.Tensor
    """(N, K, ...), odd: changes sign when test and reference swap."""
    odd: torch.Tensor
    """(N, width, ...), odd stream."""
    even: torch.Tensor
    """(N, width, ...), even stream."""


class PyramidDecoder(nn.Module):
    """Differences of features, read by a deep even trunk that goes down and up again (an FPN, Lin et al. 2017).

    What kind of difference this is, and how much of it, is even: the trunk sees sums and magnitudes of differences
    from stride 2 on. Which of the two pictures has it is odd: a gated linear reading of the differences. A logit is
    the product of the trunk's magnitude and that direction, tanh'ed.

    Args:
        channels: encoder channels at strides 2, 4, 8, ...; scales that the encoder lacks the trunk makes itself.
        types: K, the number of maps.
        width: channels of the two streams at stride 4.
        trunk: channels of the trunk at strides 4, 8, ...
        blocks: residual blocks of the trunk at each of these.
    """

    def __init__(
        self,
        channels: Sequence[int],
        types: int,
        width: int = 48,
        trunk: Sequence[int] = (64, 96, 128),
        blocks: Sequence[int] = (1, 2, 1),
    ) -> None:
        super().__init__()
        self.width = width
        fine = width // 2
        self.fine = OddEvenMerge(channels[0], fine)
        self.fine_down = nn.Conv2d(2 * fine, trunk[0], 3, stride=2, padding=1)
        self.fine_odd = nn.Conv2d(fine, width, 1, bias=False)
        self.merges = nn.ModuleList(OddEvenMerge(c, width) for c in channels[1 : 1 + len(trunk)])
        self.enter = nn.ModuleList(nn.Conv2d(2 * width, c, 1) for c, _ in zip(trunk, self.merges, strict=False))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(trunk))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(c) for _ in range(count))) for c, count in zip(trunk, blocks, strict=True)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in trunk)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in trunk[:-1])
        self.gate = nn.Conv2d(width, width, 1)
        self.direction = nn.Conv2d(width, types, 3, padding=1, bias=False)
        self.magnitude = nn.Conv2d(width, types, 3, padding=1)
        # Starting near neutral: a random answer would first have to be unlearned.
        nn.init.normal_(self.magnitude.weight, std=0.01)
        nn.init.constant_(self.magnitude.bias, 0.05)  # type: ignore[arg-type]

    def streams(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The odd and the even stream at stride 4, (N, width, H / 4, W / 4)."""
        fine_odd, fine_even = self.fine(test[0], ref[0])
        size = (test[1].shape[-2], test[1].shape[-1])
        odd = _pool_to(self.fine_odd(fine_odd), size)
        x = _fit(self.fine_down(torch.cat([nnf.relu(fine_even), fine_odd.abs()], dim=1)), size)
        levels: list[torch.Tensor] = []
        for index, stage in enumerate(self.stages):
            if index:
                x = self.down[index - 1](nnf.relu(levels[-1]))
            if index < len(self.merges):
                odd_here, even_here = self.merges[index](test[index + 1], ref[index + 1])
                x = _fit(x, even_here.shape[-2:]) + self.enter[index](torch.cat([even_here, odd_here.abs()], dim=1))
                odd = odd + resize(odd_here, size)
            levels.append(stage(x))
        even = self.lateral[-1](nnf.relu(levels[-1]))
        for index in reversed(range(len(levels) - 1)):
            even = self.lateral[index](nnf.relu(levels[index])) + resize(even, levels[index].shape[-2:])
            even = even + nnf.relu(self.smooth[index](nnf.relu(even)))
        # 2 * sigmoid starts near 1: neither damped nor blown up before training.
        return odd * (2.0 * torch.sigmoid(self.gate(even))), even

    def forward(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> Decoded:
        odd, even = self.streams(test, ref)
        logits = torch.tanh(self.direction(odd)) * self.magnitude(nnf.relu(even))
        return Decoded(logits, odd, even)


def _pool_to(stream: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return nnf.adaptive_avg_pool2d(stream, (size[0], size[1]))


def _fit(stream: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return stream if stream.shape[-2:] == tuple(size) else resize(stream, size)


class MaskAttentionDecoder(nn.Module):
    """One learned query a distortion type attends to the even stream; its mask embedding meets the odd stream.

    After Mask2Former (Cheng et al. 2022): cross-attention is restricted to where the query's own previous map
    answers, then self-attention among the queries, then a feed-forward step, repeated over the scales from coarse
    to fine. Queries read even streams only and the logits are a product with the odd one, so they are odd.
    """

    def __init__(self, channels: Sequence[int], types: int, width: int = 96, layers: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.width = width
        self.pixel = PyramidDecoder(channels, types, width)
        del self.pixel.direction, self.pixel.magnitude  # the queries take their place
        self.queries = nn.Parameter(torch.randn(types, width) * 0.02)
        self.embed = nn.Linear(width, width)
        self.cross = nn.ModuleList(nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(layers))
        self.own = nn.ModuleList(nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(layers))
        self.feed = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)) for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 * layers))
        self.heads = heads

    def forward(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> Decoded:
        odd, even = self.pixel.streams(test, ref)
        queries = self.queries.expand(odd.shape[0], -1, -1)
        layers = len(self.cross)
        for index in range(layers):
            # Coarse to fine: the memory of layer i is the even stream pooled by 2^(layers - 1 - i), but at least by
            # two, since attention over stride-4 pixels is what costs.
            factor = max(2, 2 ** (layers - 1 - index))
            size = (max(1, odd.shape[-2] // factor), max(1, odd.shape[-1] // factor))
            memory = nnf.adaptive_avg_pool2d(even, size).flatten(2).transpose(1, 2)
            blocked = self._blocked(queries, odd, size)
            normal = self.norms[3 * index : 3 * index + 3]
            found, _ = self.cross[index](normal[0](queries), memory, memory, attn_mask=blocked, need_weights=False)
            queries = queries + found
            mixed = normal[1](queries)
            queries = queries + self.own[index](mixed, mixed, mixed, need_weights=False)[0]
            queries = queries + self.feed[index](normal[2](queries))
        return Decoded(self._logits(queries, odd), odd, even)

    def _logits(self, queries: torch.Tensor, odd: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nkc,nchw->nkhw", self.embed(queries), odd) * self.width**-0.5

    def _blocked(self, queries: torch.Tensor, odd: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        # Attention is blocked where the present map is near neutral; a query that answers nowhere sees everything.
        # The magnitude is even, so the mask is the same for both orders of the pair.
        with torch.no_grad():
            strength = nnf.adaptive_avg_pool2d(self._logits(queries, odd).abs(), size).flatten(2)
            blocked = strength < 0.5 * strength.mean(dim=2, keepdim=True)
            blocked &= ~blocked.all(dim=2, keepdim=True)
        return blocked.repeat_interleave(self.heads, dim=0)


DECODERS: dict[str, type[PyramidDecoder] | type[MaskAttentionDecoder]] = {
    "pyramid": PyramidDecoder,
    "mask_attention": MaskAttentionDecoder,
}
