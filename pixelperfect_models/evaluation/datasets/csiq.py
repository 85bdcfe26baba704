"""CSIQ: the categorical subjective image quality database, 30 references, six types at four or five levels.

Layout, as in the authors' archives src_imgs.zip, dst_imgs.zip and csiq.DMOS.xlsx (s2.smu.edu/~eclarson/csiq.html):
``src_imgs/1600.png``, ``dst_imgs/TYPE/1600.TYPE.LEVEL.png``, and in the workbook's sheet ``all_by_image`` a table
``image, dst_idx, dst_type, dst_lev, dmos_std, dmos`` that starts in the fourth row and column. The same table
exported as ``csiq.DMOS.csv`` is read too.

Larson and Chandler, Most apparent distortion: full-reference image quality assessment and the role of strategy,
Journal of Electronic Imaging 19(1), 2010.

Orientation: DMOS, 0 to 1, higher is worse; turned to 1 - DMOS.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.evaluation.datasets.base import Layout, PictureIndex, Rating, child, has, integer, number
from pixelperfect_models.evaluation.datasets.spreadsheet import read_sheet

SHEET = "all_by_image"
COLUMNS = ("image", "dst_type", "dst_lev", "dmos")

TYPES = {
    "noise": ("awgn", "additive_gaussian_noise"),
    "blur": ("blur", "gaussian_blur"),
    "contrast": ("contrast", "contrast_change"),
    "fnoise": ("fnoise", "pink_noise"),
    "jpeg": ("jpeg", "jpeg"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
}
"""The table's word -> (the word in file names, the type's name)."""


def _table(folder: Path) -> tuple[Path, list[list[str]]]:
    file = child(folder, "csiq.DMOS.xlsx")
    if file.is_file():
        return file, read_sheet(file, SHEET)
    file = child(folder, "csiq.DMOS.csv")
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            return file, [row for row in csv.reader(stream)]
    except OSError:
        raise UserError(f"{file}: no such file; expected csiq.DMOS.xlsx, or its sheet {SHEET} as a CSV") from None


def _header(file: Path, table: Sequence[Sequence[str]]) -> tuple[int, dict[str, int]]:
    for index, row in enumerate(table):
        names = [cell.strip() for cell in row]
        if all(column in names for column in COLUMNS):
            return index, {column: names.index(column) for column in COLUMNS}
    raise UserError(f"{file}: no row with the column names {', '.join(COLUMNS)}")


def read(folder: Path) -> list[Rating]:
    """The ratings of CSIQ."""
    file, table = _table(folder)
    start, place = _header(file, table)
    distorted = PictureIndex(child(folder, "dst_imgs"))
    references = PictureIndex(child(folder, "src_imgs"))
    rows = []
    for offset, cells in enumerate(table[start + 1 :], start=start + 2):
        row = {name: cells[column].strip() if column < len(cells) else "" for name, column in place.items()}
        if not any(row.values()):
            continue  # padding below the table
        where = f"{file}: row {offset}"
        if row["dst_type"] not in TYPES:
            hint = suggest(row["dst_type"], TYPES)
            raise UserError(f"{where}: no distortion {row['dst_type']!r}, expected one of {', '.join(TYPES)}{hint}")
        word, name = TYPES[row["dst_type"]]
        # A workbook may hold the picture called 1600 as the number 1600.0.
        image = row["image"].removesuffix(".0")
        level = integer(row["dst_lev"], where, "dst_lev")
        mos = 1.0 - number(row["dmos"], where, "dmos")
        rows.append(
            Rating(distorted.find(f"{image}.{word}.{level}.png"), references.find(f"{image}.png"), name, level, mos)
        )
    return rows


LAYOUT = Layout(
    "CSIQ",
    "csiq.DMOS.xlsx (or csiq.DMOS.csv), src_imgs/, dst_imgs/",
    "DMOS, 0 to 1, lower is better: 1 - DMOS",
    lambda folder: (
        has(folder, "src_imgs", "dst_imgs") and (has(folder, "csiq.DMOS.xlsx") or has(folder, "csiq.DMOS.csv"))
    ),
    read,
)
