"""The recipe's pictures as tensors: inputs, references and masks, cropped as the recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pipelines.inputs import PICTURES, InputKind, centre_box
from pixelperfect_models.images import read_image, read_mask
from pixelperfect_models.map_statistics import REGIONS, Penalty, region_weight
from tuner.recipe import Recipe
from tuner.rehearsal import rehearse, rehearsed_mask


@dataclass(frozen=True)
class Picture:
    """One picture to tune on.

    Attributes:
        name: unique within the recipe.
        image: what the pipeline is given: (1, 3, H, W) in [0, 1], or what its kind of input reads.
        reference: what the output is judged against, (1, 3, H, W), or None: the incumbent.
        masks: mask files of the penalties, (1, 1, H, W) in [0, 1].
        preview: the input as a picture, where ``image`` is none.
        rehearsed: where ``image`` and ``reference`` are a rehearsal (:mod:`tuner.rehearsal`), the picture that it is
            for, cropped as the recipe says.
    """

    name: str
    image: Any
    reference: torch.Tensor | None
    masks: Mapping[Path, torch.Tensor] = field(default_factory=dict)
    preview: torch.Tensor | None = None
    rehearsed: torch.Tensor | None = None

    @property
    def shown(self) -> torch.Tensor:
        """The input as a picture, (1, 3, H, W)."""
        return self.image if self.preview is None else self.preview


class Regions:
    """The region weights of one reference, each computed when first asked for and kept.

    Args:
        reference: (1, 3, H, W), where shadows, edges and so on are found.
        masks: mask tensors (1, 1, H, W) by path.
    """

    def __init__(self, reference: torch.Tensor, masks: Mapping[Path, torch.Tensor]) -> None:
        self._reference = reference
        self._masks = masks
        self._weights: dict[tuple[str, Path | None], torch.Tensor] = {}

    def weight(self, penalty: Penalty) -> torch.Tensor | None:
        """(1, 1, H, W) of 0 and 1: the pixels this penalty's statistic runs over; None for all of them."""
        if penalty.region == "all":
            return None
        key = (penalty.region, penalty.mask)
        if key not in self._weights:
            mask = self._masks[penalty.mask] if penalty.mask is not None else None
            self._weights[key] = region_weight(self._reference, penalty.region, mask)
        return self._weights[key]


def read_penalties(recipe: Recipe) -> tuple[Penalty, ...]:
    """The recipe's penalties as the judge's statistics take them: a mask file becomes region ``mask``."""
    penalties = []
    for term in recipe.objective.penalties:
        named = term.region in REGIONS
        penalties.append(
            Penalty(
                type=term.type,
                weight=term.weight,
                above=term.above,
                statistic=term.statistic,
                region=term.region if named else "mask",
                mask=None if named else Path(term.region),
            )
        )
    return tuple(penalties)


def read_pictures(recipe: Recipe, kind: InputKind = PICTURES) -> tuple[Picture, ...]:
    """Read all inputs (of ``kind``), references and masks of a loaded recipe.

    Raises:
        UserError: a file cannot be read; the message names it.
    """
    masks = {penalty.mask: read_mask(penalty.mask) for penalty in read_penalties(recipe) if penalty.mask}
    side = recipe.images.crop
    pictures = []
    for number, pair in enumerate(recipe.pairs):
        whole = kind.read(pair.input)
        height, width = kind.like(whole).shape[-2:]
        box = centre_box(height, width, side, kind.align)
        image = whole if side is None else kind.crop(whole, *box)
        shown = kind.preview(image)
        reference: torch.Tensor | None = None
        rehearsed: torch.Tensor | None = None
        if recipe.reference_kind == "input":
            reference = shown
        elif recipe.reference_kind == "rehearsal":
            rehearsed = image
            image, reference = rehearse(whole, side, (recipe.search.seed, number))
            shown = image
        elif pair.reference is not None:
            reference = PICTURES.crop(read_image(pair.reference), *box)
        cropped = {
            path: PICTURES.crop(mask, *box) if rehearsed is None else rehearsed_mask(mask, side)
            for path, mask in masks.items()
        }
        pictures.append(Picture(pair.name, image, reference, cropped, None if shown is image else shown, rehearsed))
    return tuple(pictures)
