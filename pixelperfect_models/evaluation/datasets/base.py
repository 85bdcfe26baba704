"""What the readers of rated sets have in common: a rating, finding picture files, reading tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import SUFFIXES


@dataclass(frozen=True)
class Rating:
    """One distorted picture, the reference it was made from, and what people said of it."""

    distorted: Path
    reference: Path
    type: str
    """The distortion's name, in the words of the set's authors."""
    level: int | None
    """The authors' step number within the type; None where the set has none."""
    mos: float
    """The rating turned so that higher is better, in the set's own unit."""

    @property
    def content(self) -> str:
        """The name of the scene: the reference's file name without its ending, in lower case."""
        return self.reference.stem.lower()


@dataclass(frozen=True)
class Layout:
    """How one set is recognised and read: an entry of :data:`.LAYOUTS`."""

    title: str
    looked_for: str
    """The files and folders that tell the set, for the message about a folder that is none."""
    orientation: str
    """Which score the authors give and how it is turned so that higher is better."""
    detect: Callable[[Path], bool]
    read: Callable[[Path], list[Rating]]
    """All ratings, in the order of the authors' list. Raises UserError for a list that cannot be understood."""


class PictureIndex:
    """Finds pictures by name, without regard to case or to the file's ending.

    Authors and copies of their sets disagree on both (TID2013 has ``I01.BMP`` beside ``i25.bmp``), and people
    convert pictures to PNG.
    """

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self.exact: dict[str, Path] = {}
        self.stems: dict[str, Path] = {}
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.suffix.lower() in SUFFIXES:
                    self.exact.setdefault(path.name.lower(), path)
                    self.stems.setdefault(path.stem.lower(), path)

    def find(self, name: str) -> Path:
        """The file called ``name``; where there is none, the path where it was expected."""
        lower = name.lower()
        stem = Path(lower).stem if lower.endswith(SUFFIXES) else lower
        return self.exact.get(lower) or self.stems.get(stem) or self.folders[0] / name


def child(folder: Path, name: str) -> Path:
    """``folder / name``, found without regard to case; where there is none, the path as asked for."""
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.name.lower() == name.lower():
                return path
    return folder / name


def has(folder: Path, *names: str) -> bool:
    """Whether ``folder`` holds every one of ``names``, case ignored."""
    return all(child(folder, name).exists() for name in names)


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not empty, with their numbers. Raises UserError when it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def csv_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, with their line numbers.

    Raises UserError: file missing, or a column that is not there.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file; expected a CSV with the columns {', '.join(columns)}")
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in columns if name not in (reader.fieldnames or [])]
        if missing:
            raise UserError(f"{file}: no column {', '.join(missing)}; expected {', '.join(columns)}")
        for row in reader:
            yield reader.line_num, {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}


def number(text: object, where: str, what: str) -> float:
    """``text`` as a finite number. Raises UserError naming the place and what was expected."""
    try:
        value = float(str(text))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {str(text)!r} is no {what}, expected a number")
    return value


def integer(text: object, where: str, what: str) -> int:
    """``text`` as a whole number. Raises UserError naming the place and what was expected."""
    value = number(text, where, what)
    if value != int(value):
        raise UserError(f"{where}: {str(text)!r} is no {what}, expected a whole number")
    return int(value)
