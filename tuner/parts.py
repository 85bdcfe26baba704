"""One picture's part of an evaluation, and how the parts come together where there is no reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from tuner.evaluation import PictureValue
from tuner.incumbent import Incumbents


@dataclass(frozen=True)
class Judged:
    """What the judge says of one picture; ``worth`` against each anchor, empty with a reference."""

    value: torch.Tensor
    score: float
    penalties: dict[str, float]
    maps: torch.Tensor
    amounts: dict[str, float] = field(default_factory=dict)
    signed: dict[str, float] = field(default_factory=dict)
    worth: tuple[float, ...] = ()


def compared(incumbents: Incumbents, index: int, image: torch.Tensor) -> Judged:
    """A picture against the anchors; its value is the one against the incumbent, until all pictures are there."""
    found = incumbents.compare(index, image)
    value = torch.tensor(found.worth[-1] - found.drift, dtype=torch.float64)
    return Judged(value, found.score, found.penalties, found.maps, worth=found.worth)


def least(parts: Sequence[Part]) -> tuple[list[PictureValue], tuple[float, ...]]:
    """The pictures' values and worth against the anchor that leaves the candidate the least."""
    means = [sum(column) for column in zip(*(part.worth for part in parts), strict=True)]
    anchor = means.index(min(means))
    pictures = [replace(part.value, value=part.value.value - part.worth[-1] + part.worth[anchor]) for part in parts]
    return pictures, tuple(part.worth[anchor] for part in parts)


@dataclass(frozen=True)
class Part:
    """One picture of an evaluation; ``worth`` as in :class:`Judged`."""

    value: PictureValue
    penalties: dict[str, float]
    statistics: dict[str, dict[str, float]]
    measures: dict[str, float]
    costs: dict[str, float]
    worth: tuple[float, ...]
