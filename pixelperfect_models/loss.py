"""The judges as a loss for training loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from pixelperfect_models.judge import PixelPerfect
from pixelperfect_models.map_statistics import Penalty, penalty_terms


class PerceptualLoss(nn.Module):
    """``score_weight * difference(output, target) + sum of penalties``, averaged over the batch; lower is better.

    The target is the truth here, so what counts is how far from it the output looks: never below 0, 0 where they are
    equal. A relational score would reward an output that looks better than its target. The judge sees a large picture
    reduced; beside this loss an L1 term holds the finest detail in place.

    Args:
        penalties: ``{channel: weight}`` (mean over the picture, no tolerance) or a sequence of :class:`Penalty`
            without mask files.
        score_weight: weight of the scoring network's difference, >= 0.
        judge: the judge to use; the shipped one by default. Its weights receive no gradient.

    Shapes: output and target (N, 3, H, W) in [0, 1] -> a 0-dim tensor.
    """

    def __init__(
        self,
        penalties: Mapping[str, float] | Sequence[Penalty] = (),
        score_weight: float = 1.0,
        judge: PixelPerfect | None = None,
    ) -> None:
        super().__init__()
        self.penalties = (
            [Penalty(name, weight) for name, weight in penalties.items()]
            if isinstance(penalties, Mapping)
            else list(penalties)
        )
        self.score_weight = score_weight
        self.judge = judge if judge is not None else PixelPerfect.from_pretrained()

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        reference = self.judge.prepare(target)
        loss = self.score_weight * self.judge.difference(output, reference)
        if not self.penalties:
            return loss.mean()
        maps = self.judge.maps(output, reference)
        for penalty, term in zip(
            self.penalties, penalty_terms(maps, target, self.penalties, channels=self.judge.types), strict=True
        ):
            loss = loss + penalty.weight * term
        return loss.mean()
