"""S(test, ref): one relational score, anti-symmetric by construction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.networks.antisymmetric import at_least_float32, compress
from pixelperfect_models.networks.compiled import compiles
from pixelperfect_models.networks.measurements import block_mean, measure_pairs, views
from pixelperfect_models.networks.signed_sums import signed_sums
from pixelperfect_models.networks.similarity import EVEN_STATISTICS, LEVELS, MAPS, ODD_STATISTICS, unlikeness

SEEN_SIDE = 256
"""Pixels along the shorter side at which a whole picture is judged (Wang et al., *SSIM*, suggested usage)."""

# Keeps a root's gradient finite at zero.
_EPSILON = 1e-8

# Below this a measurement counts as none.
_MEASURABLE = 1e-5

# What a picture has more of says less of which is better than what F finds, and contradicts itself among outputs of
# denoisers: read at full weight it makes ten times as many cycles (docs/experiments.md).
_WEIGHT_OF_ODD = 1.0 / 30.0


class Scored(NamedTuple):
    """What S says of N pairs."""

    score: torch.Tensor
    """(N,), odd: positive where test looks better than ref."""
    difference: torch.Tensor
    """(N,), even, >= 0: how far apart the two look, whichever is better; 0 for equal pictures."""
    embedding: torch.Tensor
    """(N, E), odd: the products that add up to the score."""


class Compared(NamedTuple):
    """N pairs before it is decided which picture is the better one."""

    magnitude: torch.Tensor
    """(N, E), even, >= 0."""
    hidden: torch.Tensor
    """(N, embedding), even: the context."""
    odd: torch.Tensor
    """(N, O), odd: the evidence."""


def seen_factor(height: int, width: int) -> int:
    """By how much a picture of this size is reduced before it is judged: max(1, round(min(height, width) / 256)).

    People see a picture as a whole from a distance at which the finest detail of a large one is lost; classical
    metrics reduce by the same rule.
    """
    return max(1, round(min(height, width) / SEEN_SIDE))


def reduce_to_seen(image: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) averaged over squares of :func:`seen_factor` pixels."""
    factor = seen_factor(image.shape[-2], image.shape[-1])
    return block_mean(image, factor) if factor > 1 else image


class SeenEncoder(nn.Module):
    """One picture at the resolution at which it is seen to features at strides 2, 4, 8, ...

    Args:
        widths: channels of each scale.

    Input (N, 3, h, w) in [0, 1]; output one (N, widths[i], h / 2^(i + 1), w / 2^(i + 1)) each.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 6, stride=2, padding=2)
        self.reduce = nn.ModuleList(nn.Conv2d(2 * a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.refine = nn.ModuleList(nn.Conv2d(2 * b, b, 3, padding=1) for b in widths[1:])

    def forward(self, seen: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem((seen * 2.0 - 1.0).contiguous(memory_format=torch.channels_last))
        features = [x]
        for reduce, refine in zip(self.reduce, self.refine, strict=True):
            x = reduce(_both_signs(x))
            x = x + refine(_both_signs(x))
            features.append(x)
        return features


class PairBlock(nn.Module):
    """What one scale of learned features says of a pair, with the measured unlikeness there beside them: even vectors.

    Args:
        channels: features of one picture.
        width: channels of the even stream.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.floor = nn.Parameter(torch.full((1, channels, 1, 1), -2.0))
        self.even = nn.Conv2d(3 * channels + MAPS, width, 1)
        self.context = nn.Conv2d(width, width, 3, padding=1)
        self.attention = nn.Conv2d(width, 1, 1)
        self.even_size = 3 * width

    def forward(self, test: torch.Tensor, ref: torch.Tensor, unlike: torch.Tensor) -> torch.Tensor:
        """(N, even_size) of features (N, channels, h, w) and maps (N, MAPS, about 2 h, about 2 w)."""
        difference = (test - ref).abs()
        activity = test.abs() + ref.abs()
        relative = difference / (activity + nnf.softplus(self.floor))
        maps = nnf.adaptive_avg_pool2d(unlike, (test.shape[-2], test.shape[-1])).to(test.dtype)
        hidden = nnf.relu(self.even(torch.cat([difference, relative, activity, maps], dim=1)))
        hidden = nnf.relu(self.context(hidden)) + hidden
        wide, weight = at_least_float32(hidden), torch.sigmoid(at_least_float32(self.attention(hidden))) + 1e-3
        square = wide.square()
        root = (square.mean((2, 3)) + _EPSILON).sqrt()
        worst = (square.square().mean((2, 3)) + _EPSILON).sqrt().sqrt()
        return torch.cat([(wide * weight).mean((2, 3)) / weight.mean((2, 3)), root, worst], dim=1)


_POOLED_AT_ONCE = 16_000_000
"""Map values that are pooled at once: all maps of a picture up to 17 megapixels."""


def pool_maps(coarse: torch.Tensor) -> torch.Tensor:
    """What S reads of F's maps (N, K, h, w) in [0, 1]: signed mean and signed 4-norm of each channel, (N, 2 K), odd.

    Which of two pictures is the better one is a question of which holds which artefact, and that F answers.
    """
    if compiles(coarse, differentiable=True):
        means, more, less = signed_sums(coarse) / (coarse.shape[-2] * coarse.shape[-1])
        return torch.cat([compress(means, 8.0), (more + _EPSILON) ** 0.25 - (less + _EPSILON) ** 0.25], dim=1).float()
    # A few channels at a time where the maps are large: the temporary copies are of these alone.
    parts = coarse.split(max(1, _POOLED_AT_ONCE // max(1, coarse[:, :1].numel())), dim=1)
    means, peaks = zip(*(_mean_and_peak(part) for part in parts), strict=True)
    return torch.cat([*means, *peaks], dim=1)


def _mean_and_peak(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    signed = (2.0 * at_least_float32(maps) - 1.0).contiguous()  # channels last sums over places twice as slowly
    more, less = (
        (x.square().square().mean((2, 3)) + _EPSILON).sqrt().sqrt() for x in (nnf.relu(signed), nnf.relu(-signed))
    )
    return compress(signed.mean((2, 3)), 8.0), more - less


class ScoringNetwork(nn.Module):
    """How far apart two pictures look is even, which of them looks better is odd; the score is a sum of products.

    The amount is learnt from fixed measurements (:mod:`pixelperfect_models.networks.similarity`) and, where ``widths``
    names any, from learned features; the direction from F's maps and from what each picture has more of.

    Args:
        widths: channels of a learned encoder at strides 2, 4, 8, ... of the seen picture, at most four; none without.
        width: channels of the even stream of every scale of that encoder.
        embedding: size of the hidden vectors.
        heads: E, number of products.
        dropout: share of the hidden values left out in training.
        types: K, number of F's maps, of which the direction is read.
    """

    center: torch.Tensor
    spread: torch.Tensor
    odd_spread: torch.Tensor

    def __init__(
        self,
        widths: Sequence[int] = (),
        width: int = 24,
        embedding: int = 96,
        heads: int = 16,
        dropout: float = 0.1,
        types: int = len(CHANNELS),
    ) -> None:
        super().__init__()
        if len(widths) > LEVELS:
            raise TypeError(f"widths: {len(widths)} scales, expected at most {LEVELS}")
        self.artefacts = 2 * types
        self.encoder = SeenEncoder(widths) if widths else None
        self.blocks = nn.ModuleList(PairBlock(c, width) for c in widths)
        learned = sum(block.even_size for block in self.blocks)  # type: ignore[misc, union-attr]
        odd = 2 * types + ODD_STATISTICS
        # What the measurements are on training pictures: `standardize`.
        self.register_buffer("center", torch.zeros(EVEN_STATISTICS))
        self.register_buffer("spread", torch.ones(EVEN_STATISTICS))
        self.register_buffer("odd_spread", torch.ones(odd))
        self.hidden = nn.Linear(EVEN_STATISTICS + learned, embedding)
        self.deeper = nn.Linear(embedding, embedding)
        self.dropout = nn.Dropout(dropout)
        self.magnitude = nn.Linear(embedding, heads)
        # Straight from the measurements, each of which is already a metric; the hidden vectors correct it.
        self.straight = nn.Linear(EVEN_STATISTICS, heads, bias=False)
        self.reading = nn.Linear(odd, embedding, bias=False)
        self.mixing = nn.Linear(embedding, embedding, bias=False)
        self.gates = nn.Linear(embedding, 2 * embedding)
        self.direction = nn.Linear(embedding, 1, bias=False)
        self.plain = nn.Linear(odd, 1, bias=False)
        # Gates start open and the plain reading silent: products of random factors are slow to learn.
        nn.init.zeros_(self.straight.weight)
        nn.init.zeros_(self.gates.weight)
        nn.init.ones_(self.gates.bias)
        nn.init.zeros_(self.plain.weight)

    def encode(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Measurements and features of (N, 3, H, W) in [0, 1], H, W >= 16, at the resolution at which it is seen."""
        seen = reduce_to_seen(image)
        return views(seen) + (self.encoder(seen) if self.encoder is not None else [])

    def forward(
        self, test: list[torch.Tensor], ref: list[torch.Tensor], artefacts: torch.Tensor | None = None
    ) -> Scored:
        """Compare the features of two batches; a reference batch of one serves every test.

        Args:
            test, ref: from :meth:`encode`.
            artefacts: from :func:`pool_maps`. None where only the difference is asked for, which does not read them;
                score and embedding mean nothing then.
        """
        return self.decide(self.compare(test, ref, artefacts))

    def compare(
        self, test: list[torch.Tensor], ref: list[torch.Tensor], artefacts: torch.Tensor | None = None
    ) -> Compared:
        """Everything but the direction. Arguments as :meth:`forward`."""
        count = test[0].shape[0]
        if artefacts is None:
            artefacts = test[0].new_zeros(count, self.artefacts)
        measured = measure_pairs(test[:LEVELS], ref[:LEVELS])
        ref = [feature.expand(count, -1, -1, -1) for feature in ref]
        learned = [
            block(test[LEVELS + level], ref[LEVELS + level], unlikeness(test[level], ref[level]))
            for level, block in enumerate(self.blocks)
        ]
        magnitude, hidden = self.weigh(measured.even, measured.amount, learned)
        return Compared(magnitude, hidden, torch.cat([artefacts, measured.odd], dim=1))

    def weigh(
        self, measured: torch.Tensor, amount: torch.Tensor, learned: Sequence[torch.Tensor] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What :func:`even_statistics` and the learned blocks found to magnitude (N, E) and hidden (N, embedding)."""
        standard = self.standardized(measured)
        evens = torch.cat([standard, *(compress(vector, 4.0) for vector in learned)], dim=1)
        hidden = self.dropout(nnf.gelu(self.hidden(evens)))
        hidden = hidden + nnf.gelu(self.deeper(hidden))
        # The amount makes equal pictures exactly alike, and saturates where a difference is plain to see.
        total = self.magnitude(hidden) + self.straight(standard)
        return nnf.softplus(total) * torch.tanh(20.0 * amount)[:, None], hidden

    def standardized(self, measured: torch.Tensor) -> torch.Tensor:
        """Measurements (N, EVEN_STATISTICS) on a logarithmic scale, of mean 0 and deviation 1 in training."""
        return (torch.log(measured + _MEASURABLE) - self.center) / self.spread

    @torch.no_grad()
    def standardize(self, measured: torch.Tensor, odd: torch.Tensor) -> None:
        """Set the scales of what is read from a sample of pairs: (P, EVEN_STATISTICS) and (P, O), F's maps first."""
        logs = torch.log(measured + _MEASURABLE)
        self.center.copy_(logs.mean(0))
        self.spread.copy_(logs.std(0) + 1e-3)
        self.odd_spread.copy_(odd.square().mean(0).sqrt() + 1e-3)
        self.odd_spread[self.artefacts :] /= _WEIGHT_OF_ODD

    def decide(self, compared: Compared) -> Scored:
        """Which picture is the better one, and with it the score."""
        return self.decided(compared, self.side(compared))

    def side(self, compared: Compared) -> torch.Tensor:
        """Log-odds, (N,), odd, of test being the better picture."""
        # Gates of either sign: what is more energy in one context is the better picture, in another the worse.
        first, second = self.gates(compared.hidden).chunk(2, dim=1)
        evidence = compress(compared.odd / self.odd_spread)
        reading = torch.tanh(self.reading(evidence) * first)
        reading = reading + torch.tanh(self.mixing(reading) * second)
        return (self.direction(reading) + self.plain(evidence)).squeeze(1)

    @staticmethod
    def decided(compared: Compared, side: torch.Tensor) -> Scored:
        """The difference times how sure the direction is: 2 p - 1 for the probability p that test is better."""
        products = torch.tanh(0.5 * side)[:, None] * compared.magnitude
        return Scored(products.sum(dim=1), compared.magnitude.sum(dim=1), products)


def _both_signs(x: torch.Tensor) -> torch.Tensor:
    # Energy of either sign counts alike in texture; a plain ReLU would see half of every oscillation.
    return torch.cat([nnf.relu(x), x.abs()], dim=1)
