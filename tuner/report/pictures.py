"""The report's pictures: outputs at the start and at the best parameters, and their maps against the reference.

They are made again from the recipe in the run's folder, so that a run stores nothing for the report's sake.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipelines import Pipeline, load
from pipelines.contract import Output
from pixelperfect_models.channels import SIGNED_CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import to_array
from tuner.objective import Judge
from tuner.overlays import signed_excess
from tuner.pictures import Picture, read_pictures
from tuner.recipe import Recipe
from tuner.recipe_file import load_recipe
from tuner.regions import Region, region_at, worst_region
from tuner.report.records import RunRecords

SIDES = ("start", "best")


@dataclass(frozen=True)
class ShownPicture:
    """One picture of the run.

    Attributes:
        name: as in the recipe.
        images: (H, W, 3) float32 in [0, 1] by role: input, start, best, reference.
        excess: signed excess over the reference of ``start`` and ``best``, each (K, H, W) in [-1, 1].
        regions: the worst region of every type (K, or None) of ``start`` and ``best``.
        own: shown beside its rehearsal; it has no reference, so its maps say nothing of how good an output is.
    """

    name: str
    images: dict[str, np.ndarray]
    excess: dict[str, np.ndarray]
    regions: dict[str, tuple[Region | None, ...]]
    own: bool = False


@dataclass(frozen=True)
class WorstRegion:
    """A place where the best output is still worse than the reference.

    ``start`` is the mean excess of the default output in the same box.
    """

    picture: str
    type: str
    region: Region
    start: float


@dataclass(frozen=True)
class PictureSet:
    """The pictures shown, how many the run has in all, and what the reader must know of them ("" if nothing)."""

    shown: tuple[ShownPicture, ...]
    total: int
    types: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Sources:
    """What a run's outputs are made from, read again: its recipe, pipeline, and all of its pictures."""

    recipe: Recipe
    pipeline: Pipeline
    pictures: tuple[Picture, ...]


def open_sources(records: RunRecords) -> Sources | str:
    """Read the run's recipe and pictures again; the reason as text when they cannot be read any more."""
    try:
        recipe = load_recipe(records.folder / "recipe.yaml")
        pipeline = load(recipe.pipeline.name, recipe.pipeline.options)
        return Sources(recipe, pipeline, tuple(read_pictures(recipe, pipeline.input)))
    except UserError as error:
        return f"The pictures of this run could not be read: {error}"


def make_pictures(records: RunRecords, sources: Sources | str, judge: Judge, most: int) -> PictureSet:
    """Run the pipeline at the start and the best parameters and judge both outputs.

    Args:
        records: the run.
        sources: from :func:`open_sources`.
        judge: the trained judges.
        most: how many pictures to show at most, the first ones of the recipe.

    Returns:
        The pictures; none, with a note that says why, when they cannot be read any more.
    """
    if isinstance(sources, str):
        return PictureSet((), 0, judge.types, sources)
    recipe = sources.recipe
    everything = [shown for picture in sources.pictures for shown in _with_own(picture)]
    shown = []
    for picture in everything[:most]:
        outputs = {side: run_seeded(sources, picture, getattr(records, side)["parameters"]).image for side in SIDES}
        reference = outputs["start"] if picture.reference is None else picture.reference
        own = recipe.reference_kind == "rehearsal" and picture.reference is None
        shown.append(_judged(picture, reference, outputs, judge, own))
    return PictureSet(tuple(shown), len(everything), judge.types, _note(recipe.reference_kind, recipe.images.crop))


def _with_own(picture: Picture) -> list[Picture]:
    """What is shown of a picture: of a rehearsal first the picture that it is for, which has no reference."""
    if picture.rehearsed is None:
        return [picture]
    return [Picture(picture.name, picture.rehearsed, None), replace(picture, name=f"{picture.name}, rehearsal")]


def run_seeded(sources: Sources, picture: Picture, parameters: dict[str, Any]) -> Output:
    """The pipeline's output, seeded as in the objective, so that one which draws random numbers draws the search's."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(sources.recipe.search.seed)
        return sources.pipeline.run(picture.image, parameters)


def _note(kind: str, crop: int | None) -> str:
    notes = []
    if kind == "input":
        notes.append("The reference is the input.")
    if kind == "incumbent":
        notes.append("The run has no reference pictures: the default output stands in its place.")
    if kind == "rehearsal":
        notes.append(
            "The run has no reference pictures: each was rehearsed on itself at half the size, cleaned, with its own "
            "noise on it. Of the picture itself the default output stands in the reference's place."
        )
    if crop is not None:
        notes.append(f"The search saw the centre {crop} \N{MULTIPLICATION SIGN} {crop} pixels, shown here.")
    return " ".join(notes)


def _judged(
    picture: Picture, reference: torch.Tensor, outputs: dict[str, torch.Tensor], judge: Judge, own: bool
) -> ShownPicture:
    with torch.no_grad():
        state = judge.prepare(reference)
        maps = {side: judge.judge(outputs[side], state)[0] for side in SIDES}
    excess = {side: signed_excess(maps[side][0].float().cpu().numpy()) for side in SIDES}
    images = {"input": picture.shown, **outputs, "reference": reference}
    return ShownPicture(
        name=picture.name,
        images={role: to_array(image) for role, image in images.items()},
        excess=excess,
        own=own,
        regions={
            side: tuple(
                worst_region(values, name in SIGNED_CHANNELS)
                for name, values in zip(judge.types, excess[side], strict=True)
            )
            for side in SIDES
        },
    )


def worst_of_all(pictures: PictureSet, most: int = 8) -> list[WorstRegion]:
    """Where the best outputs are still worse than their references, worst first, over all pictures and types."""
    found = []
    for picture in pictures.shown:
        for place, region in enumerate(picture.regions["best"]):
            if region is not None and not picture.own:
                box = (region.left, region.top, region.width, region.height)
                start = region_at(picture.excess["start"][place], *box).excess
                found.append(WorstRegion(picture.name, pictures.types[place], region, start))
    return sorted(found, key=lambda worst: -abs(worst.region.excess))[:most]


def per_picture(records: RunRecords) -> list[dict[str, Any]]:
    """Value and score of each picture at start and best, in the recipe's order."""
    before = {entry["name"]: entry for entry in records.start.get("pictures", ())}
    rows = []
    for after in records.best.get("pictures", ()):
        start = before.get(after["name"], {})
        rows.append(
            {
                "name": after["name"],
                "value": (start.get("value"), after["value"]),
                "score": (start.get("score"), after["score"]),
            }
        )
    return rows
