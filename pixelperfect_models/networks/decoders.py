"""Decoders: features of test and reference to one logit a channel, anti-symmetric by construction.

Each takes two lists of features, strides 4, 8, ..., and gives logits (N, K, H / 4, W / 4) that are odd: they change
their sign when test and reference swap. Only :class:`FreeDecoder`, which is there for comparison, is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.networks.antisymmetric import OddEvenMerge, resize
from pixelperfect_models.networks.encoders import ResidualBlock


class PyramidDecoder(nn.Module):
    """Differences of features, read by a deep even trunk that goes down and up again (an FPN, Lin et al. 2017).

    What kind of difference this is, and how much of it, is even: the trunk sees sums and magnitudes of differences.
    Which of the two pictures has it is odd: a gated linear reading of the differences. A logit is the product of the
    trunk's magnitude and that direction, tanh'ed. Depth costs least where pixels are few, so it begins at stride 8.

    Args:
        channels: encoder channels at strides 4, 8, ...; scales that the encoder lacks the trunk makes itself.
        types: K, the number of maps.
        width: channels of the two streams at stride 4.
        trunk: channels of the trunk at strides 8, 16, ...
        blocks: residual blocks of the trunk at each of these.
    """

    def __init__(
        self,
        channels: Sequence[int],
        types: int,
        width: int = 32,
        trunk: Sequence[int] = (64, 96, 96),
        blocks: Sequence[int] = (0, 1, 1),
    ) -> None:
        super().__init__()
        self.width = width
        self.fine = OddEvenMerge(channels[0], width)
        self.merges = nn.ModuleList(
            OddEvenMerge(c, width, even_width) for c, even_width in zip(channels[1:], trunk, strict=False)
        )
        self.enter = nn.ModuleList(nn.Conv2d(width, c, 1) for c, _ in zip(trunk, self.merges, strict=False))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise((2 * width, *trunk)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(c) for _ in range(count))) for c, count in zip(trunk, blocks, strict=True)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(c, trunk[0], 1) for c in trunk[1:])
        self.smooth = nn.Conv2d(trunk[0], width, 3, padding=1)
        self.gate = nn.Conv2d(width, width, 1)
        self.direction = nn.Conv2d(width, types, 3, padding=1, bias=False)
        self.magnitude = nn.Conv2d(width, types, 3, padding=1)
        # Starting near neutral: a random answer would first have to be unlearned.
        nn.init.normal_(self.magnitude.weight, std=0.01)
        nn.init.constant_(self.magnitude.bias, 0.05)  # type: ignore[arg-type]

    def streams(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The odd and the even stream at stride 4, (N, width, H / 4, W / 4)."""
        odd, even = self.fine(test[0], ref[0])
        size = odd.shape[-2:]
        levels: list[torch.Tensor] = []
        x = torch.cat([nnf.relu(even), odd.abs()], dim=1)
        for index, (down, stage) in enumerate(zip(self.down, self.stages, strict=True)):
            x = down(nnf.relu(x) if index > 0 else x)
            if index < len(self.merges):
                odd_here, even_here = self.merges[index](test[index + 1], ref[index + 1])
                x = fit(x, even_here.shape[-2:]) + even_here + self.enter[index](odd_here.abs())
                odd = odd + resize(odd_here, size)
            x = stage(x)
            levels.append(x)
        up: torch.Tensor | None = None
        for level, lateral in zip(reversed(levels[1:]), reversed(self.lateral), strict=True):
            here = lateral(nnf.relu(level))
            up = here if up is None else here + double(up, here.shape[-2:])
        x = levels[0] if up is None else levels[0] + double(up, levels[0].shape[-2:])
        even = even + resize(nnf.relu(self.smooth(nnf.relu(x))), size)
        # 2 * sigmoid starts near 1: neither damped nor blown up before training.
        return odd * (2.0 * torch.sigmoid(self.gate(nnf.relu(even)))), even

    def forward(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> torch.Tensor:
        odd, even = self.streams(test, ref)
        return torch.tanh(self.direction(odd)) * self.magnitude(nnf.relu(even))

    @property
    def grid(self) -> int:
        """Pixels between two places of the coarsest level."""
        return 4 * 2 ** len(self.down)

    def reach(self, features: Sequence[int]) -> int | None:
        """How many pixels away a picture can move a logit, at most, given the reaches of the features it reads."""
        step, here = 4, features[0]
        odd = here
        levels: list[int] = []
        for index, stage in enumerate(self.stages):
            here += step
            step *= 2
            if index < len(self.merges):
                here = max(here, features[index + 1])
                odd = max(odd, features[index + 1] + step)
            here += 2 * step * len(stage)  # type: ignore[arg-type]
            levels.append(here)
        # Bilinear doubling reads the coarse neighbour on either side: one coarse step.
        for level in reversed(levels[:-1]):
            here = max(level, here + step)
            step //= 2
        return max(odd, here + 8 + 8) + 4


def fit(stream: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """``stream`` at ``size``: itself where it has that."""
    return stream if stream.shape[-2:] == tuple(size) else resize(stream, size)


def double(stream: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Twice the size, cut to ``size``, which is that or one less: where an odd size was halved and rounded up.

    Stretching to ``size`` itself would shift every place of an odd-sized level by up to half a pixel, by an amount
    that depends on the picture's size: unlike in training, and unlike in a tile.
    """
    doubled = resize(stream, (2 * stream.shape[-2], 2 * stream.shape[-1]))
    return doubled if doubled.shape[-2:] == tuple(size) else doubled[..., : size[0], : size[1]]


class FreeDecoder(PyramidDecoder):
    """The same streams into a head that may answer anything: for measuring what anti-symmetry by construction gives.

    Logits are a two-layer reading of the odd and the even stream side by side, so nothing makes them odd; a loss
    may ask for it (``lambda_antisymmetry``).
    """

    def __init__(self, channels: Sequence[int], types: int, width: int = 32, **options: Any) -> None:
        super().__init__(channels, types, width, **options)
        del self.direction, self.magnitude
        self.mix = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.answer = nn.Conv2d(2 * width, types, 3, padding=1)
        nn.init.normal_(self.answer.weight, std=0.01)
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> torch.Tensor:
        odd, even = self.streams(test, ref)
        return self.answer(nnf.relu(self.mix(torch.cat([odd, nnf.relu(even)], dim=1))))

    def reach(self, features: Sequence[int]) -> int | None:
        reach = super().reach(features)
        return None if reach is None else reach + 4  # one 3 x 3 convolution more


class MaskAttentionDecoder(nn.Module):
    """One learned query a distortion type attends to the even stream; its mask embedding meets the odd stream.

    After Mask2Former (Cheng et al. 2022): cross-attention is restricted to where the query's own previous map
    answers, then self-attention among the queries, then a feed-forward step, repeated over the scales from coarse
    to fine. Queries read even streams only and the logits are a product with the odd one, so they are odd.
    """

    def __init__(
        self,
        channels: Sequence[int],
        types: int,
        width: int = 96,
        layers: int = 3,
        heads: int = 4,
        trunk: Sequence[int] = (64, 96, 96),
        blocks: Sequence[int] = (0, 1, 1),
    ) -> None:
        super().__init__()
        self.width = width
        self.pixel = PyramidDecoder(channels, types, width, trunk, blocks)
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

    def forward(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> torch.Tensor:
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
        return self._logits(queries, odd)

    @property
    def grid(self) -> int:
        """Pixels between two places of the coarsest level."""
        return self.pixel.grid

    def reach(self, features: Sequence[int]) -> int | None:
        """None: the queries read the whole picture."""
        return None

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
    "free": FreeDecoder,
    "mask_attention": MaskAttentionDecoder,
}
