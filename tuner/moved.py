"""A stored recipe on another machine, where the same files lie in other folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pixelperfect_models.errors import UserError


def moved(recipe: Mapping[str, Any], places: Mapping[str, str] | str | None) -> dict[str, Any]:
    """A resolved recipe with the paths of its pictures, masks, weights and pipeline options moved.

    Args:
        recipe: plain data, as a study keeps it; its paths are absolute.
        places: folder there to folder here; or one folder, which stands for the folder that all pictures have in
            common; or None: nothing is moved.

    Raises:
        UserError: no path of the recipe lies in a folder that is to be moved.
    """
    if not places:
        return dict(recipe)
    pictures = [path for path in _strings(recipe["images"]) if os.path.isabs(path)]  # noqa: PTH117
    if isinstance(places, str):
        places = {os.path.commonpath([str(PurePath(path).parent) for path in pictures]): places}
    for old in places:
        paths = [path for path in _strings(recipe) if _below(path, old)]
        if not paths:
            raise UserError(f"--images: no file of the study lies in {old}; they are {', '.join(pictures[:3])} ...")
    return {key: _move(value, places) for key, value in recipe.items()}


def _move(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _move(item, places) for key, item in value.items()}
    if isinstance(value, list):
        return [_move(item, places) for item in value]
    if isinstance(value, str):
        for old, new in places.items():
            if _below(value, old):
                return str(PurePath(new).joinpath(PurePath(value).relative_to(old)))
    return value


def _below(path: str, folder: str) -> bool:
    return PurePath(path).is_relative_to(folder)


def _strings(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []
