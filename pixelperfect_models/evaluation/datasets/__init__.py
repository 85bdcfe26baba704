"""Readers of human-rated sets, in the layouts their authors distribute: one file each, found in one table."""

from __future__ import annotations

from pathlib import Path

from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.evaluation.datasets import cid22, csiq, kadid10k, live, pieapp, pipal, ratings_csv, tid
from pixelperfect_models.evaluation.datasets.base import Layout, Rating

LAYOUTS: dict[str, Layout] = {
    "ratings": ratings_csv.LAYOUT,
    "tid2013": tid.TID2013,
    "tid2008": tid.TID2008,
    "kadid10k": kadid10k.LAYOUT,
    "csiq": csiq.LAYOUT,
    "live": live.LAYOUT,
    "pipal": pipal.LAYOUT,
    "pieapp": pieapp.LAYOUT,
    "cid22": cid22.LAYOUT,
}
"""Name of a layout -> how it is recognised and read. The first that recognises a folder reads it."""


def detect_dataset(folder: str | Path) -> str | None:
    """The name in :data:`LAYOUTS` of the set in ``folder``, or None. Raises UserError: no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a human-rated set or a folder of photos")
    return next((name for name, layout in LAYOUTS.items() if layout.detect(folder)), None)


def not_recognised(folder: str | Path) -> UserError:
    """The error for a folder that is none of the known sets: it lists what was looked for."""
    known = "\n".join(f"  {name:10}{layout.looked_for}" for name, layout in LAYOUTS.items())
    return UserError(f"{folder}: not a human-rated set in a layout that is known. Looked for:\n{known}")


def read_dataset(folder: str | Path, name: str | None = None) -> tuple[str, list[Rating]]:
    """The set's name and its ratings.

    Args:
        folder: the set's top folder, as its authors' archive unpacks.
        name: a layout of :data:`LAYOUTS` to read it by; None to recognise it.

    Raises:
        UserError: no layout fits; the list of scores is broken or empty; or a rated picture is not there (an
            incomplete copy gives figures that compare with nobody's).
    """
    folder = Path(folder)
    if name is None:
        name = detect_dataset(folder)
        if name is None:
            raise not_recognised(folder)
    elif name not in LAYOUTS:
        raise UserError(f"no dataset layout {name!r}, expected one of {', '.join(LAYOUTS)}{suggest(name, LAYOUTS)}")
    elif not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    ratings = LAYOUTS[name].read(folder)
    if not ratings:
        raise UserError(f"{folder}: no ratings in it; expected {LAYOUTS[name].looked_for}")
    absent = [path for row in ratings for path in (row.distorted, row.reference) if not path.is_file()]
    if absent:
        raise UserError(
            f"{absent[0]}: no such picture, though it is rated ({len(set(absent))} of the pictures of "
            f"{LAYOUTS[name].title} are missing); a part of a set can be measured through a ratings.csv"
        )
    return name, ratings


__all__ = ["LAYOUTS", "Layout", "Rating", "detect_dataset", "not_recognised", "read_dataset"]
