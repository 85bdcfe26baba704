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
from pixelperfect_models.training.quality_sets import QualitySets, paired

QUALITY_STEP = 0.2
"""The gap of the teacher's consensus (0 to 1) that the margin ``delta`` stands for."""

_PARTS = ("reading", "mixing", "gates", "direction", "plain")


@torch.no_grad()
def pairs_of(scoring: ScoringNetwork, sets: QualitySets, most: int | None = None) -> tuple[Compared, torch.Tensor]:
    """All pairs of all sets, or of the first ``most``, and the teacher's quality of the first less the second, (P,).

    P = sets x 3 M: of every set the pairs of :func:`quality_sets.paired`.
    """
    device = next(scoring.parameters()).device
    count, members = min(most or len(sets.sets), len(sets.sets)), len(sets.quality[0])
    parts = [torch.empty(0)] * 3
    gaps = torch.empty(count, 3 * members)
    for number in range(count):
        quality, (order, artefacts) = torch.from_numpy(sets.quality[number]), sets.maps[number]
        features = scoring.encode(sets.seen(number).to(device))
        test, ref = paired(order)
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

    The log loss of the log-odds, weighted by the teacher's gap; what is asked for is not certainty but log-odds in
    proportion to the gap, :data:`QUALITY_STEP` for one, since these add up along a chain of pictures. And on triples
    (a, b, c) the log-odds of (a, c) are to be those of (a, b) and (b, c) together: without that a judge of pairs orders
    neighbours well and contradicts itself (docs/experiments.md).
    """
    scoring.eval()
    pairs, gap = pairs_of(scoring, sets, schedule.direction_sets)
    members = len(sets.quality[0])
    parameters = [value for name in _PARTS for value in getattr(scoring, name).parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=schedule.direction_decay)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.direction_steps)
    generator = torch.Generator().manual_seed(seed)
    kind = torch.arange(len(gap)) % (3 * members) // members  # as in `quality_sets.paired`
    plain = gap.abs().cpu() > 0.01
    against_pristine, neighbours = (torch.nonzero(plain & (kind == which)).flatten() for which in (0, 1))
    triples = triangles(len(gap), members)
    losses: dict[str, float] = {}
    for step in range(schedule.direction_steps):
        single = torch.cat([_draw(against_pristine, 1024, generator), _draw(neighbours, 512, generator)])
        sides = triples[:, _draw(torch.arange(triples.shape[1]), 512, generator)]
        asked = torch.cat([single, sides.flatten()]).to(gap.device)
        wanted = gap[asked]
        # Evidence is dropped at random: the photos are few, the numbers many. The same for the sides of a triangle.
        kept = nnf.dropout(torch.ones(len(single) + sides.shape[1], pairs.odd.shape[1], device=gap.device), 0.2)
        kept = torch.cat([kept[: len(single)], *[kept[len(single) :]] * 3])
        side = scoring.side(Compared(pairs.magnitude[asked], pairs.hidden[asked], pairs.odd[asked] * kept))
        # Gaps that nobody would see hardly count.
        weight = (wanted.abs() / QUALITY_STEP).clamp(max=1.0)
        log_loss = weight * nnf.binary_cross_entropy_with_logits(
            side, torch.sigmoid(wanted / QUALITY_STEP), reduction="none"
        )
        # The first two sides of a triangle are neighbours, which have been drawn already.
        once, across = slice(len(single)), slice(len(side) - sides.shape[1], None)
        loss = log_loss[once].sum() / weight[once].sum() + log_loss[across].sum() / weight[across].sum()
        first, second, third = side[len(single) :].view(3, -1)
        excess = first + second - third
        apart = nnf.smooth_l1_loss(excess, torch.zeros_like(excess))
        optimizer.zero_grad()
        (loss + schedule.direction_triangles * apart).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        decay.step()
        right = float(((side * wanted > 0).float() * weight).sum() / weight.sum())
        losses = {"side_loss": float(loss.detach()), "side_right": right, "side_apart": float(apart.detach())}
        if console and (step + 1) % 500 == 0:
            console.print(
                f"direction: step {step + 1}/{schedule.direction_steps}, loss {losses['side_loss']:.4f}, "
                f"triangles {losses['side_apart']:.4f}"
            )
    return losses


def triangles(pairs: int, members: int) -> torch.Tensor:
    """Numbers of the pairs (a, b), (b, c) and (a, c) of every triple among the pairs of :func:`pairs_of`, (3, T)."""
    place = torch.arange(members)
    first = torch.arange(0, pairs, 3 * members)[:, None]
    sides = (members + place, members + (place + 1) % members, 2 * members + place)
    return torch.stack([(first + side).flatten() for side in sides])


def _draw(numbers: torch.Tensor, most: int, generator: torch.Generator) -> torch.Tensor:
    """That many of ``numbers`` (or as many as there are), with repetition."""
    return numbers[torch.randint(len(numbers), (min(most, len(numbers)),), generator=generator)]
