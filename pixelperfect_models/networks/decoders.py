"""Decoders: features of test and reference to one logit a channel, anti-symmetric by construction.

Each takes two lists of features, finest first, and gives ``Decoded``: logits at the finest decoded scale and the
two streams the scoring network builds on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.networks.antisymmetric import OddEvenBlock, OddEvenMerge, resize


class Decoded(NamedTuple):
    """What a decoder gives: all at stride 4, (N, ., H / 4, W / 4)."""

    logits: torch.Tensor
    """(N, K, ...), odd: changes sign when test and reference swap."""
    odd: torch.Tensor
    """(N, width, ...), odd stream."""
    even: torch.Tensor
    """(N, width, ...), even stream."""


class PyramidDecoder(nn.Module):
    """Top-down pyramid of odd/even blocks from the coarsest scale to stride 4 (an FPN, Lin et al. 2017, made odd).

    Args:
        channels: feature channels at strides 2, 4, 8, ...
        types: K, the number of maps.
        width: channels of both streams.
    """

    def __init__(self, channels: Sequence[int], types: int, width: int = 48) -> None:
        super().__init__()
        self.width = width
        # The stride-2 differences are pooled to stride 4: noise and aliasing are seen in their magnitude there.
        self.fine = OddEvenMerge(channels[0], width)
        self.merges = nn.ModuleList(OddEvenMerge(c, width) for c in channels[1:])
        self.blocks = nn.ModuleList(OddEvenBlock(width) for _ in channels[1:])
        self.head = nn.Conv2d(width, types, 3, padding=1, bias=False)

    def streams(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The odd and the even stream at stride 4, (N, width, H / 4, W / 4)."""
        odd = even = None
        for level in reversed(range(1, len(test))):
            odd_here, even_here = self.merges[level - 1](test[level], ref[level])
            if level == 1:
                fine_odd, fine_even = self.fine(test[0], ref[0])
                size = odd_here.shape[-2:]
                odd_here = odd_here + _pool_to(fine_odd, size)
                even_here = even_here + _pool_to(nnf.relu(fine_even), size)
            if odd is not None and even is not None:
                odd_here = odd_here + resize(odd, odd_here.shape[-2:])
                even_here = even_here + resize(even, odd_here.shape[-2:])
            odd, even = self.blocks[level - 1](odd_here, even_here)
        assert odd is not None and even is not None  # features_only models give at least two scales
        return odd, even

    def forward(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> Decoded:
        odd, even = self.streams(test, ref)
        return Decoded(self.head(odd), odd, even)


def _pool_to(stream: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return stream if stream.shape[-2:] == size else nnf.adaptive_avg_pool2d(stream, size)


class MaskAttentionDecoder(nn.Module):
    """One learned query a distortion type attends to the even stream; its mask embedding meets the odd stream.

    After Mask2Former (Cheng et al. 2022): cross-attention is restricted to where the query's own previous map
    answers, then self-attention among the queries, then a feed-forward step, repeated over the scales from coarse
    to fine. Queries read even streams only and the logits are a product with the odd one, so they are odd.
    """

    def __init__(
        self, channels: Sequence[int], types: int, width: int = 96, layers: int = 3, heads: int = 4
    ) -> None:
        super().__init__()
        self.width = width
        self.pixel = PyramidDecoder(channels, types, width)
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
