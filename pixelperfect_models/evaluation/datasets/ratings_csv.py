"""Any rated set, written down as one table: a folder with ``ratings.csv``.

Columns ``distorted``, ``reference`` (paths relative to the folder), ``type``, ``level`` (a whole number, or empty)
and ``mos``. The parts in ``PIXELPERFECT_DATA`` come like this, and a set whose own layout is not known here is
measured after writing such a file for it.

Orientation: mos, higher is better; taken as it is.
"""

from __future__ import annotations

from pathlib import Path

from pixelperfect_models.evaluation.datasets.base import Layout, Rating, csv_rows, has, integer, number

COLUMNS = ("distorted", "reference", "type", "level", "mos")


def read(folder: str | Path) -> list[Rating]:
    """The rows of ``folder/ratings.csv``. Raises UserError: file or column missing, or a value that is no number."""
    file = Path(folder) / "ratings.csv"
    rows = []
    for line, row in csv_rows(file, COLUMNS):
        where = f"{file}:{line}"
        level = integer(row["level"], where, "level") if row["level"] else None
        mos = number(row["mos"], where, "mos")
        rows.append(Rating(file.parent / row["distorted"], file.parent / row["reference"], row["type"], level, mos))
    return rows


LAYOUT = Layout(
    "table",
    f"ratings.csv ({','.join(COLUMNS)})",
    "mos, higher is better: as it is",
    lambda folder: has(folder, "ratings.csv"),
    read,
)
