"""Finding a recipe's pictures: globs, pairing inputs with references, what is held out, sizes that agree."""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.inputs import PICTURES, InputKind
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_array
from tuner.recipe import REFERENCE_WORDS, ImagePair, ImagesSpec
from tuner.recipe_search import TrainSearch

_SHOWN = 6


class ImagesError(UserError):
    """Something is wrong with the pictures; ``key`` is the key below ``images`` to blame."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def find_pairs(images: ImagesSpec, folder: Path, kind: InputKind = PICTURES) -> tuple[ImagePair, ...]:
    """The pairs a recipe names, in order, after exclude, skip and limit. Files are not opened.

    ``kind``: what the pipeline takes as its input; references are always pictures.

    Raises:
        ImagesError: nothing found, or inputs and references that do not pair.
    """
    inputs = expand(images.input, folder, "input", kind)
    held_out = [str(absolute(pattern, folder)) for pattern in images.exclude]
    if images.reference in REFERENCE_WORDS:
        pairs: list[tuple[Path, Path | None]] = [(path, None) for path in inputs if not _matches(path, held_out)]
    else:
        references = expand(images.reference, folder, "reference")
        pairs = [*pair_up(inputs, references, held_out)]
    if not pairs:
        raise ImagesError("exclude", f"leaves out all {len(inputs)} pictures, expected at least one to stay")
    count = len(pairs)
    pairs = pairs[images.skip :]
    if not pairs:
        raise ImagesError("skip", f"found {images.skip}, expected less than the {count} pictures there are")
    pairs = pairs[: images.limit]
    names = unique_names([input_path for input_path, _ in pairs])
    return tuple(ImagePair(name, *pair) for name, pair in zip(names, pairs, strict=True))


def find_training_photos(search: TrainSearch, folder: Path, look: bool = True) -> TrainSearch:
    """``search`` with the absolute paths of the photos to train on, each with its input where the recipe has inputs.

    Args:
        look: False leaves the patterns, made absolute; nothing is looked for.

    Raises:
        ImagesError: nothing found, or photos and inputs that do not pair.
    """
    given = {"photos": search.photos, "inputs": search.inputs}
    if not look:
        patterns = {key: [value] if isinstance(value, str) else value for key, value in given.items() if value}
        return search.model_copy(
            update={key: [str(absolute(each, folder)) for each in value] for key, value in patterns.items()}
        )
    photos = expand(search.photos, folder, "photos")
    if search.inputs is None:
        return search.model_copy(update={"photos": [str(path) for path in photos]})
    try:
        pairs = list(pair_up(expand(search.inputs, folder, "inputs"), photos))
    except ImagesError as error:
        raise ImagesError("inputs" if error.key == "reference" else error.key, str(error)) from None
    return search.model_copy(
        update={"inputs": [str(given) for given, _ in pairs], "photos": [str(photo) for _, photo in pairs]}
    )


def absolute(path: str, folder: Path) -> Path:
    """``path`` relative to ``folder``; absolute paths and ``~`` stay what they are."""
    return (folder / Path(path).expanduser()).absolute()


def expand(patterns: str | list[str], folder: Path, key: str, kind: InputKind = PICTURES) -> list[Path]:
    """The files (of ``kind``) of a path, a glob or a list of them: in the order listed, each glob's files sorted.

    Raises:
        ImagesError: a pattern without a picture, or a folder.
    """
    found: list[Path] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        path = absolute(pattern, folder)
        if path.is_file() or kind.accepts(path):  # a file is named on purpose, whatever its ending
            found.append(path)
            continue
        if path.is_dir():
            raise ImagesError(key, f"found the folder {path}, expected files, for example {path}/*.png")
        if not glob.has_magic(str(path)):
            raise ImagesError(key, f"found {path}: no such file")
        # Not Path.glob: it takes patterns relative to a folder only.
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
        pictures = [match for match in matches if kind.accepts(match)]
        if not pictures:
            expected = ", ".join(kind.suffixes)
            raise ImagesError(key, f"found no {kind.name} for {path}, expected at least one ({expected})")
        found += [picture for picture in pictures if picture not in found]
    return found


def pair_up(
    inputs: Sequence[Path], references: Sequence[Path], held_out: Sequence[str] = ()
) -> Iterable[tuple[Path, Path]]:
    """Pair by file name, or by stem, where the names agree; where none agrees, by order and equal count.

    A pair is left out when one of its two files matches a pattern of ``held_out``.

    Raises:
        ImagesError: some names agree and others do not, or the counts differ.
    """
    out = {path for path in (*inputs, *references) if _matches(path, held_out)}
    for key in (lambda path: path.name, lambda path: path.stem):
        names, others = [key(path) for path in inputs], {key(path): path for path in references}
        if len(set(names)) < len(names) or len(others) < len(references) or not others.keys() & set(names):
            continue
        gone = {key(path) for path in out}
        if (set(names) ^ others.keys()) <= gone:
            return [(path, others[name]) for path, name in zip(inputs, names, strict=True) if name not in gone]
    stems = {path.stem for path in inputs} & {path.stem for path in references}
    distinct = len({path.stem for path in inputs}) == len(inputs)
    if stems and distinct:
        _refuse("only some file names agree", inputs, references)
    if len(inputs) == len(references):
        return [pair for pair in zip(inputs, references, strict=True) if not out & set(pair)]
    inputs = [path for path in inputs if path not in out]
    references = [path for path in references if path not in out]
    if len(inputs) == len(references):
        return zip(inputs, references, strict=True)
    _refuse("no file names agree and the counts differ", inputs, references)
    return ()


def check_pictures(pairs: Sequence[ImagePair], kind: InputKind = PICTURES, least: int = 0) -> list[tuple[str, str]]:
    """Read every input and reference once; what is wrong with them as (key below ``images``, message).

    ``least``: pixels that an input needs on each side.
    """
    problems: list[tuple[str, str]] = []
    for pair in pairs:
        sizes: dict[str, str] = {}
        for key, path in (("input", pair.input), ("reference", pair.reference)):
            if path is None:
                continue
            try:
                height, width = kind.like(kind.read(path)).shape[-2:] if key == "input" else read_array(path).shape[:2]
            except UserError as error:
                problems.append((key, f"found {error}"))
            else:
                sizes[key] = f"{path} ({width} x {height})"
                if key == "input" and min(height, width) < least:
                    problems.append((key, f"found {sizes[key]}, expected at least {least} x {least} pixels"))
        if len(sizes) == 2 and sizes["input"].rsplit(" (")[-1] != sizes["reference"].rsplit(" (")[-1]:
            problems.append(
                ("reference", f"found {sizes['input']} beside {sizes['reference']}, expected the same size")
            )
    return problems


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each picture, fit for a file name: its stem, with a number where that is taken."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 2
        while name in names:
            name, number = f"{path.stem}_{number}", number + 1
        names.append(name)
    return names


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(str(path), pattern) for pattern in patterns)


def _refuse(reason: str, inputs: Sequence[Path], references: Sequence[Path]) -> None:
    raise ImagesError(
        "reference",
        f"{reason}: found {len(inputs)} inputs ({_names(inputs)}) and {len(references)} references "
        f"({_names(references)}), expected the same names, or as many of one as of the other",
    )


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:_SHOWN])
    return shown + (f", ... {paths[-1].name}" if len(paths) > _SHOWN else "")
