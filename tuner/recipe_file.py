"""Loading a recipe: from YAML to a resolved :class:`tuner.recipe.Recipe`, or one error that lists all problems."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from pipelines.inputs import PICTURES, InputKind
from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.images import read_array
from tuner.recipe import REFERENCE_WORDS, ImagePair, ImagesSpec, JudgeSpec, PipelineSpec, Recipe
from tuner.recipe_images import ImagesError, absolute, check_pictures, find_pairs, find_training_photos
from tuner.recipe_objective import REGIONS, Objective
from tuner.recipe_pipeline import load_pipeline, resolve_parameters, resolve_search
from tuner.recipe_problems import report
from tuner.recipe_search import Search, SearchSpec, TrainSearch
from tuner.recipe_yaml import Source, read_source
from tuner.rehearsal import MIN_SIDE

_Model = TypeVar("_Model", bound=BaseModel)


def load_recipe(
    source: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    folder: str | Path | None = None,
    check_images: bool = True,
) -> Recipe:
    """Read a recipe, check all of it and resolve it: paths absolute, ranges filled in, pictures paired.

    Args:
        source: a YAML file, or the data of one as a mapping.
        overrides: ``key.path=value`` assignments, values parsed as YAML.
        folder: what paths are relative to; default: the file's folder, the current one for a mapping.
        check_images: False skips the pictures (they are neither looked for nor read; ``pairs`` stays empty).

    Raises:
        UserError: anything wrong, one line for each problem: ``file:line: key.path: what was found, what is
            expected; did you mean 'x'?``
    """
    if isinstance(source, Mapping):
        path = None
        document = Source(copy.deepcopy(dict(source)), "recipe", {})
        for assignment in overrides:
            document.override(assignment)
    else:
        path = Path(source)
        document = read_source(path, overrides)
    base = Path(folder) if folder is not None else path.absolute().parent if path else Path.cwd()
    document.expand_variables()
    return _resolve(document, path, base, check_images)


def _resolve(document: Source, path: Path | None, folder: Path, check_images: bool) -> Recipe:
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(document.data)
    except ValidationError as error:
        report(document, error.errors(include_url=False), Recipe)
    # What is sound is still checked against pipeline and pictures, so that one look at the message is enough.
    data = document.sound_data()
    spec = _section(data, "pipeline", PipelineSpec)
    images = _section(data, "images", ImagesSpec)
    objective = _section(data, "objective", Objective)
    judge = _section(data, "judge", JudgeSpec)
    search = _search(data)

    pipeline = None
    if spec:
        spec, pipeline = load_pipeline(spec, document, folder)
    kind = pipeline.input if pipeline else PICTURES
    if spec and pipeline:
        spec = resolve_parameters(spec, pipeline, document)
        if search:
            incumbent = images is not None and images.reference == "incumbent"
            pareto = objective is not None and bool(objective.pareto)
            limits = objective is not None and bool(objective.constraints)
            search = resolve_search(search, spec, pipeline, document, incumbent, pareto, limits)
    pairs: tuple[ImagePair, ...] = ()
    if images and check_images and not document.has_problems_below("images"):
        pairs = _find_pictures(images, folder, document, kind)
    if isinstance(search, TrainSearch):
        search = _find_training_photos(search, folder, document, check_images)
    if objective:
        objective = _resolve_regions(objective, pairs, folder, document, kind)
    if judge and judge.weights is not None:
        weights = absolute(judge.weights, folder)
        judge = JudgeSpec(weights=str(weights))
        if not weights.exists():
            document.problem(("judge", "weights"), f"found {weights}: no such file or folder")
    document.raise_problems()

    assert recipe and spec and images and objective and judge and search  # no problems: all sections are there
    images = images.model_copy(update=_absolute_patterns(images, folder))
    recipe = recipe.model_copy(
        update={
            "name": recipe.name or (path.stem if path else spec.name),
            "pipeline": spec,
            "images": images,
            "objective": objective,
            "search": search,
            "judge": judge,
        }
    )
    recipe._path = path.absolute() if path else None
    recipe._pairs = pairs
    return recipe


def _section(data: dict[str, Any], key: str, model: type[_Model]) -> _Model | None:
    try:
        return model.model_validate(data.get(key, {}))
    except ValidationError:
        return None  # reported already


def _search(data: dict[str, Any]) -> Search | None:
    search = data.get("search", {})
    if isinstance(search, dict):
        search = {"strategy": "auto", **search}
    try:
        return TypeAdapter[Any](SearchSpec).validate_python(search)  # type: ignore[no-any-return]
    except ValidationError:
        return None  # reported already


def _find_pictures(images: ImagesSpec, folder: Path, document: Source, kind: InputKind) -> tuple[ImagePair, ...]:
    rehearsed = images.reference == "rehearsal"
    if rehearsed and kind is not PICTURES:
        document.problem(
            ("images", "reference"), f"found rehearsal, which is for pictures; this pipeline is given a {kind.name}"
        )
        return ()
    try:
        pairs = find_pairs(images, folder, kind)
    except ImagesError as error:
        document.problem(("images", error.key), str(error))
        return ()
    for key, message in check_pictures(pairs, kind, MIN_SIDE if rehearsed else 0):
        document.problem(("images", key), message)
    return pairs


def _find_training_photos(search: TrainSearch, folder: Path, document: Source, look: bool) -> TrainSearch:
    """With absolute paths, of the files that are found; of the patterns unless ``look``."""
    try:
        return find_training_photos(search, folder, look)
    except ImagesError as error:
        document.problem(("search", error.key), str(error))
        return search


def _absolute_patterns(images: ImagesSpec, folder: Path) -> dict[str, Any]:
    def resolve(value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            return [str(absolute(item, folder)) for item in value]
        return value if value in REFERENCE_WORDS else str(absolute(value, folder))

    return {
        "input": resolve(images.input),
        "reference": resolve(images.reference),
        "exclude": [str(absolute(pattern, folder)) for pattern in images.exclude],
    }


def _resolve_regions(
    objective: Objective, pairs: Sequence[ImagePair], folder: Path, document: Source, kind: InputKind
) -> Objective:
    """The objective with mask paths absolute; masks missing, broken or of another size are recorded."""
    penalties = []
    for index, penalty in enumerate(objective.penalties):
        key = ("objective", "penalties", index, "region")
        if penalty.region in REGIONS:
            penalties.append(penalty)
            continue
        mask = absolute(penalty.region, folder)
        penalties.append(penalty.model_copy(update={"region": str(mask)}))
        if not mask.is_file():
            document.problem(
                key,
                f"found '{penalty.region}', expected {', '.join(REGIONS)} or a mask file ({mask}: no such file)"
                f"{suggest(penalty.region, REGIONS)}",
            )
        elif not document.has_problems_below("images"):
            _check_mask(mask, pairs, key, document, kind)
    return objective.model_copy(update={"penalties": penalties})


def _check_mask(
    mask: Path, pairs: Sequence[ImagePair], key: tuple[str | int, ...], document: Source, kind: InputKind
) -> None:
    try:
        height, width = read_array(mask).shape[:2]
        for pair in pairs:
            rows, columns = kind.like(kind.read(pair.input)).shape[-2:]
            if (rows, columns) != (height, width):
                document.problem(
                    key,
                    f"found {mask} ({width} x {height}) beside {pair.input} ({columns} x {rows}), "
                    "expected the same size",
                )
                return
    except UserError as error:
        document.problem(key, f"found {error}")
