"""No ground truth: candidates compared with earlier bests, in an order that does not contradict the judge.

With ``images.reference: incumbent`` a candidate ``c`` is compared with *anchors*: the first candidate (the defaults)
and the latest bests. A comparison with anchor ``a`` is

    D(c, a) = weight * S(c, a) - sum of weight * (hinge(statistic of c over a) - hinge(statistic of a over c))

with ``hinge(x) = max(0, x - above)``. Both directions come from one question to the judge, since
``F(a, c) = 1 - F(c, a)``; so ``D(a, c) = -D(c, a)``: what an artefact costs where there is more of it, it earns where
there is less. (Counting one direction alone, as with a true reference, no candidate would ever be better than the
incumbent by the penalties.) The signed channels (exposure, contrast, saturation, colour shift) are minded in both
directions, which says nothing of which of two pictures is right: their penalties count the distance from the first
candidate, the tone that the search started with.

A candidate is worth

    u(c) = min over the anchors a of u(a) + D(c, a)

The minimum, not the mean: a candidate becomes the best only if it beats *every* anchor by at least what that anchor is
short of the best. So bests in a row never contradict the judge, and values cannot climb in a circle: what looks like
an anchor is worth at most what the anchor is, however the judge's preferences run in between. The first candidate stays
an anchor, so that tolerances (``above``) do not add up from one best to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pixelperfect_models.channels import SIGNED_CHANNELS
from pixelperfect_models.map_statistics import Penalty, excess, statistic
from tuner.pictures import Picture, Regions


class PairJudge(Protocol):
    """What is needed of the judge here."""

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the K maps."""

    def prepare(self, ref: torch.Tensor) -> Any:
        """Whatever depends on the reference alone."""

    def judge(self, test: torch.Tensor, ref: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (N, K, H, W) and score (N,)."""


@dataclass(frozen=True)
class Comparison:
    """One picture of a candidate against the anchors.

    Attributes:
        worth: u(a) + D(c, a) for each anchor, the incumbent last; ``(0.0,)`` while there is no anchor.
        drift: what the penalties of the signed channels take from it, >= 0.
        score: S against the incumbent.
        penalties: label to what the penalty takes, against the incumbent (below 0 where there is less of the artefact);
            of the signed channels against the first candidate.
        maps: against the incumbent, (1, K, H, W).
    """

    worth: tuple[float, ...]
    drift: float
    score: float
    penalties: dict[str, float]
    maps: torch.Tensor


@dataclass(frozen=True)
class _Anchor:
    references: tuple[Any, ...]
    worth: tuple[float, ...]


class Incumbents:
    """The anchors of a run.

    Args:
        judge: the judge.
        pictures: of the recipe.
        penalties: artefacts minded.
        score_weight: weight of the score.
        count: how many anchors are kept, the first candidate among them; at least 2.
    """

    def __init__(
        self,
        judge: PairJudge,
        pictures: Sequence[Picture],
        penalties: Sequence[Penalty],
        score_weight: float,
        count: int,
    ) -> None:
        self._judge = judge
        self._pictures = pictures
        self._penalties = penalties
        self._score_weight = score_weight
        self._count = count
        self._anchors: list[_Anchor] = []
        self._regions: list[Regions] = []

    def __len__(self) -> int:
        return len(self._anchors)

    def promote(self, outputs: Sequence[torch.Tensor], worth: Sequence[float]) -> None:
        """Make a candidate the incumbent.

        Args:
            outputs: its pictures, each (1, 3, H, W).
            worth: what each is worth, ``Evaluation.worth``.
        """
        anchor = _Anchor(tuple(self._judge.prepare(output) for output in outputs), tuple(worth))
        if not self._anchors:  # regions stay those of the first, so that all comparisons look at the same pixels
            pairs = zip(outputs, self._pictures, strict=True)
            self._regions = [Regions(output, picture.masks) for output, picture in pairs]
        first, rest = self._anchors[:1], self._anchors[1:]
        kept = min(self._count - 2, len(rest))
        self._anchors = [*first, *rest[len(rest) - kept :], anchor]

    def compare(self, index: int, image: torch.Tensor) -> Comparison:
        """Picture ``index`` of a candidate, (1, 3, H, W), against every anchor."""
        if not self._anchors:  # the first candidate: nothing to compare with but itself
            maps, score = self._judge.judge(image, self._judge.prepare(image))
            return Comparison((0.0,), 0.0, float(score[0]), {p.label: 0.0 for p in self._penalties}, maps)
        worth: list[float] = []
        drift = 0.0
        for anchor in self._anchors:
            maps, score = self._judge.judge(image, anchor.references[index])
            penalties: dict[str, float] = {}
            for penalty in self._penalties:
                amount = self._amount(penalty, maps, index)
                if penalty.type not in SIGNED_CHANNELS:
                    amount -= self._amount(penalty, 1.0 - maps, index)
                penalties[penalty.label] = penalties.get(penalty.label, 0.0) + amount
            toned = {p.label for p in self._penalties if p.type in SIGNED_CHANNELS}
            if anchor is self._anchors[0]:
                first = {label: penalties[label] for label in toned}
                drift = sum(first.values())
            taken = sum(amount for label, amount in penalties.items() if label not in toned)
            worth.append(anchor.worth[index] + self._score_weight * float(score[0]) - taken)
        return Comparison(tuple(worth), drift, float(score[0]), {**penalties, **first}, maps)

    def _amount(self, penalty: Penalty, maps: torch.Tensor, index: int) -> float:
        channel = self._judge.types.index(penalty.type)
        over = excess(maps[:, channel : channel + 1], (penalty.type,))
        amount = float(statistic(over, self._regions[index].weight(penalty), penalty.statistic)[0, 0])
        return penalty.weight * max(0.0, amount - penalty.above)
