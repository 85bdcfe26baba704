"""Losses of both trainings, with the paper's constants as defaults (arXiv 2605.02863).

The paper names the constants; what it leaves open and is decided here: *high* intensities of the map loss are
pixels where some channel is further than ``beta`` from neutral, and the positives of the contrastive loss are the
pictures of nearest quality, whatever their distortion.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf


def map_loss(
    maps: torch.Tensor,
    target: torch.Tensor,
    w_high: float = 10.0,
    beta: float = 0.05,
    towards: torch.Tensor | None = None,
) -> torch.Tensor:
    """Weighted mean squared error of maps (N, K, H, W) in [0, 1]: distorted pixels count more, in every channel.

    Weighing only the channel that is off neutral would reward hedging: a channel that is right once in five times
    would do best by answering 0.7 of the intensity every time, and the maps would leak into each other.

    Args:
        maps, target: values in [0, 1], 0.5 neutral.
        w_high: weight of pixels where any channel has ``|target - 0.5| > beta``; the others weigh 1.
        beta: half-width of the neutral zone.
        towards: what the error is taken from, the target by default; the weights are the target's.

    Returns:
        A 0-dim tensor, the mean of weight times squared error (not divided by the weights' sum, so that neutral
        pictures still count for what they hold).
    """
    high = ((target - 0.5).abs() > beta).any(dim=1, keepdim=True)
    weight = 1.0 + (w_high - 1.0) * high.to(maps.dtype)
    return (weight * (maps - (target if towards is None else towards)).square()).mean()


def order_loss(maps: torch.Tensor, target: torch.Tensor, order: torch.Tensor, margin: float = 0.1) -> torch.Tensor:
    """Hinge on pairs of one distortion at two strengths: the stronger one's maps are further from neutral.

    The squared error cannot ask for that where the scale of the maps has ended, since both targets are its end; and
    where a distortion looks like another as it grows, the error is smaller when the right channel falls.

    Args:
        maps, target: (N, K, H, W) in [0, 1], N even; the items 2 i and 2 i + 1 are the weaker and the stronger.
        order: (N, K, 1, 1), of both what :meth:`DistortionEngine.graded` gives; 0 where they are no such pair.
        margin: in log-odds of the map's mean over the places where the stronger's target is off neutral.

    Returns:
        A 0-dim tensor, the mean over the channels that are to be ordered, weighted by their shares.
    """
    place = ((target[1::2] - 0.5).abs() > 0.01).any(dim=1, keepdim=True).float()
    area = place.sum((2, 3)).clamp(min=1.0)
    weaker, stronger = (torch.logit((x.float() * place).sum((2, 3)) / area, eps=1e-4) for x in (maps[::2], maps[1::2]))
    wanted = order[1::2, :, 0, 0]
    hinge = (margin - wanted.sign() * (stronger - weaker)).clamp(min=0.0) * wanted.abs()
    return hinge.sum() / wanted.abs().sum().clamp(min=1.0)


def ranking_loss(
    scores: torch.Tensor, quality: torch.Tensor, delta: float = 1.0, step: float = 0.2, tie: float = 0.02
) -> torch.Tensor:
    """Hinge loss over all pairs: ``max(0, margin - (s_i - s_j))`` where quality i is above quality j.

    The margin is ``delta`` at a quality gap of ``step`` and proportional to the gap, so that scores keep the spacing
    of the labels and stay comparable from one distortion type to another.

    Args:
        scores: (B,).
        quality: (B,) in [0, 1], higher is better; pairs closer than ``tie`` are not ranked.
        delta: the margin, in score units.
        step: the quality gap that the margin stands for.

    Returns:
        A 0-dim tensor; 0 when no pair is far enough apart.
    """
    return pair_loss(scores[:, None] - scores[None, :], quality[:, None] - quality[None, :], delta, step, tie)


def pair_loss(
    score: torch.Tensor, gap: torch.Tensor, delta: float = 1.0, step: float = 0.2, tie: float = 0.02
) -> torch.Tensor:
    """The hinge of :func:`ranking_loss` for relational scores of pairs, ``score`` and quality ``gap`` of one shape."""
    hinge = (delta * gap.abs() / step - score * gap.sign()).clamp(min=0.0)
    chosen = (gap.abs() > tie).to(score.dtype)
    return (hinge * chosen).sum() / chosen.sum().clamp(min=1.0)


def info_nce(
    embedding: torch.Tensor, quality: torch.Tensor, tau: float = 0.07, near: float = 0.05, far: float = 0.15
) -> torch.Tensor:
    """InfoNCE (van den Oord et al. 2018) over one batch: pictures of like quality attract, of unlike repel.

    Args:
        embedding: (B, E), odd: 0 for a pristine picture against itself. A constant coordinate is added before
            normalising, since the amount of a distortion is in the embedding's length.
        quality: (B,) in [0, 1]. The positive of an anchor is the other picture of nearest quality, when that is
            within ``near``; its negatives are all further than ``far``.
        tau: temperature.

    Returns:
        A 0-dim tensor; 0 when no anchor has both a positive and a negative.
    """
    constant = torch.ones_like(embedding[:, :1], dtype=torch.float32)
    unit = nnf.normalize(torch.cat([embedding.float(), constant], dim=1), dim=1)
    similarity = unit @ unit.T / tau
    distance = (quality[:, None] - quality[None, :]).abs()
    own = torch.eye(len(quality), dtype=torch.bool, device=quality.device)
    nearest, index = distance.masked_fill(own, torch.inf).min(dim=1)
    negative = distance > far
    usable = (nearest <= near) & negative.any(dim=1)
    if not bool(usable.any()):
        return embedding.sum() * 0.0
    positive = similarity.gather(1, index[:, None])
    logits = torch.cat([positive, similarity.masked_fill(~negative, -torch.inf)], dim=1)[usable]
    return nnf.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))
