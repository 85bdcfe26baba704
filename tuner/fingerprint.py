"""What a study was made with: enough to refuse a recipe, version, judge or picture that would give other values."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from pipelines.contract import Pipeline
from tuner.pictures import read_penalties
from tuner.recipe import Recipe
from tuner.recipe_search import TrainSearch

# Keys of a recipe that may differ when a study is resumed: they say how long to search and how it is called.
_FREE_KEYS = frozenset({"name", "description", "search.trials", "search.starts", "search.timeout"})
_PACKAGE = "pixel-perfect-tuner"
_KNOWN_MODULES = ("pipelines.", "torch.")
"""Where classes change with the program's own code or with a library."""
_CODE = {
    "pipelines": ("**/*.py",),
    "pixelperfect_models": ("*.py", "networks/*.py"),
    "tuner": (
        "search/*.py", "objective.py", "evaluation.py", "parts.py", "incumbent.py", "parameter_space.py", "pictures.py",
        "regions.py", "trials.py", "rehearsal.py", "noise_model.py",
    ),
}  # fmt: skip
"""By package, the files that a value, or what is proposed next, may depend on."""
_LIBRARIES = (
    "torch", "kornia", "numpy", "scipy", "scikit-image", "PyWavelets", "opencv-python-headless", "pillow", "optuna",
)  # fmt: skip
"""Libraries whose version changes values, or what a sampler proposes."""


def fingerprint(recipe: Recipe, pipeline: Pipeline, judge: Any) -> dict[str, str]:
    """What a study must be gone on with, name to version or to the beginning of a SHA-256.

    The program's version and code; the versions of the libraries that values depend on; the judge's weights; the source
    of a pipeline or network that is not part of the program; files that its options name, and programs that it runs;
    every picture and mask by its position, wherever it lies; names and sizes of the photos that are trained on.

    Args:
        recipe: loaded, with its pictures found.
        pipeline: that of the recipe, loaded.
        judge: the judge.
    """
    made_with = {_PACKAGE: _version(_PACKAGE), "code": _code(), "judge": _judge(judge)}
    made_with |= {f"library {name}": _version(name) for name in _LIBRARIES}
    for cls in pipeline.classes():
        if not cls.__module__.startswith(_KNOWN_MODULES):
            made_with["pipeline" if cls is type(pipeline) else f"class {cls.__name__}"] = _source(cls)
    for option in pipeline.path_options:
        named = recipe.pipeline.options.get(option)
        if isinstance(named, str) and Path(named).is_file():
            made_with[f"option {option}"] = _file(Path(named))
    for path in pipeline.files():
        made_with[f"file {path}"] = _file(path)
    for pair in recipe.pairs:
        made_with[f"input {pair.name}"] = _file(pair.input)
        if pair.reference is not None:
            made_with[f"reference {pair.name}"] = _file(pair.reference)
    for number, penalty in enumerate(read_penalties(recipe)):
        if penalty.mask is not None:
            made_with[f"mask of penalty {number}"] = _file(penalty.mask)
    if isinstance(recipe.search, TrainSearch):
        made_with["training photos"] = _listing([*recipe.search.photos, *(recipe.search.inputs or [])])
    return made_with


def made_differences(stored: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """What made a study and what would go on with it (:func:`tuner.fingerprint.fingerprint`), where they differ."""
    return [
        f"{key}: stored {stored[key]}, now {given[key]}" for key in stored if key in given and stored[key] != given[key]
    ]


def recipe_differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """What differs between two resolved recipes, one text for each key, leaving out what may differ."""
    old, new = _flat(stored), _flat(given)
    keys = [key for key in dict.fromkeys([*old, *new]) if key not in _FREE_KEYS]
    return [
        f"{key}: stored {_text(old, key)}, now {_text(new, key)}"
        for key in keys
        if old.get(key, _MISSING) != new.get(key, _MISSING)
    ]


_MISSING = object()


def _text(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "nothing"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        pairs = [(f"{prefix}.{key}" if prefix else str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(f"{prefix}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in pairs:
        flat.update(_flat(item, key))
    return flat


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@cache
def _code() -> str:
    """The program's own source: two checkouts of one version are not the same program."""
    digest = hashlib.sha256()
    for package, patterns in _CODE.items():
        root = Path(str(resources.files(package)))
        for file in sorted({file for pattern in patterns for file in root.glob(pattern)}):
            digest.update(f"{package}/{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return _short(digest)


def _judge(judge: Any) -> str:
    """Name and weights; of a judge without weights nothing is known that could be compared."""
    if not isinstance(judge, torch.nn.Module):
        return "without weights"
    digest = hashlib.sha256()
    for name, tensor in sorted(judge.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return f"{type(judge).__name__} {_short(digest)}"


def _source(cls: type) -> str:
    try:
        text = inspect.getsource(inspect.getmodule(cls) or cls)
    except (OSError, TypeError):
        return "without source"
    return _short(hashlib.sha256(text.encode()))


def _file(path: Path) -> str:
    """The file's contents; of a folder (a burst) those of its files in order."""
    digest = hashlib.sha256()
    for part in _files(path):
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return _short(digest)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(part for part in path.rglob("*") if part.is_file())
    else:
        yield path


def _listing(paths: Sequence[str]) -> str:
    """Names and sizes: there may be thousands of photos, and reading them all takes minutes."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    return _short(digest)


def _short(digest: Any) -> str:
    return str(digest.hexdigest()[:16])
