"""The second half of the training of S: which of two pictures is the better one, read of what the first half learnt.

The amount is frozen here, so everything a pair has to say is a few hundred numbers: they are computed once, and the
direction is trained on all pairs at a time, in a minute. Trained together with the amount, the sign was still at chance
when the amount was learnt (docs/experiments.md).
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from rich.console import Console

from pixelperfect_models.allocator import release_unused
from pixelperfect_models.networks import ScoringNetwork
from pixelperfect_models.networks.scoring_network import Compared
from pixelperfect_models.training.config import ScoreTraining
from pixelperfect_models.training.quality_sets import QualitySets

QUALITY_STEP = 0.2
"""The gap of the teacher's consensus (0 to 1) that the margin ``delta`` stands for."""

_PARTS = ("reading", "mixing", "gates", "direction", "plain")


@torch.no_grad()
def pairs_of(scoring: ScoringNetwork, sets: QualitySets, most: int | None = None) -> tuple[Compared, torch.Tensor]:
    """All pairs of all sets, or of the first ``most``, and the teacher's quality of the first less the second, (P,).

    Each of a set's M pictures against the pristine one, then each against its neighbour in the set's order.
    """
    device = next(scoring.parameters()).device
    count, members = min(most or len(sets.sets), len(sets.sets)), len(sets.quality[0])
    parts = [torch.empty(0)] * 3
    gaps = torch.empty(count, 2 * members)
    for number in range(count):
        quality, (order, artefacts) = torch.from_numpy(sets.quality[number]), sets.maps[number]
        features = scoring.encode(sets.seen(number).to(device))
        own = torch.arange(members)
        test, ref = torch.cat([own, order]), torch.cat([torch.zeros_like(own), order.roll(-1)])
        compared = scoring.compare([x[test] for x in features], [x[ref] for x in features], artefacts.to(device))
        if not number:  # in one piece, as in QualitySets
            parts = [torch.empty(count, *part.shape) for part in compared]
        for part, found in zip(parts, compared, strict=True):
            part[number] = found
        gaps[number] = quality[test] - quality[ref]
        if number % 50 == 0:
            release_unused()
    return Compared(*(part.flatten(0, 1).to(device) for part in parts)), gaps.flatten().to(device)


def fit_direction(
    scoring: ScoringNetwork, sets: QualitySets, schedule: ScoreTraining, seed: int, console: Console | None = None
) -> dict[str, float]:
    """Train the direction of ``scoring`` in place, everything else frozen, and return the last losses.

    The loss is the log loss of the log-odds, weighted by the teacher's gap.
    """
    scoring.eval()
    pairs, gap = pairs_of(scoring, sets, schedule.direction_sets)
    parameters = [value for name in _PARTS for value in getattr(scoring, name).parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=schedule.direction_decay)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.direction_steps)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.nonzero(gap.abs() > 0.01).flatten()
    losses: dict[str, float] = {}
    for step in range(schedule.direction_steps):
        some = chosen[torch.randint(len(chosen), (min(2048, len(chosen)),), generator=generator).to(chosen.device)]
        wanted = gap[some]
        # Evidence is dropped at random: the photos are few, the numbers many.
        kept = nnf.dropout(pairs.odd[some], 0.2)
        side = scoring.side(Compared(pairs.magnitude[some], pairs.hidden[some], kept))
        # Log loss: a saturated wrong answer still has a gradient. Gaps that nobody would see hardly count.
        weight = (wanted.abs() / QUALITY_STEP).clamp(max=1.0)
        loss = (weight * nnf.softplus(-side * wanted.sign())).sum() / weight.sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        decay.step()
        right = float(((side * wanted > 0).float() * weight).sum() / weight.sum())
        losses = {"side_loss": float(loss.detach()), "side_right": right}
        if console and (step + 1) % 500 == 0:
            console.print(f"direction: step {step + 1}/{schedule.direction_steps}, loss {losses['side_loss']:.4f}")
    return losses
