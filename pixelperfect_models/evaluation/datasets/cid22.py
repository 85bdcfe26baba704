"""CID22, validation part: 49 references of the Cloudinary Image Dataset '22, compressed by several encoders.

Layout, as in the authors' archives CID22_validation_set.zip and CID22_validation_set_annotations.zip
(cloudinary.com/labs/cid22): ``CID22_validation_set.csv`` with the columns reference_img, distorted_img, encoder,
setting, bpp, MCOS, RMOS, Elo, nb_pc_opinions, the pictures by paths relative to the folder of the same name. The
CSV may lie in that folder or beside it. Rows whose encoder is ``Reference`` rate the reference itself and are left
out: 4292 of 4341 stay.

Sneyers, Ben Baruch, Vaxman, CID22: large-scale subjective quality assessment for high fidelity image compression,
IEEE MultiMedia 2023.

Orientation: MCOS (mean combined opinion score), 0 to 100, higher is better; taken as it is. The distortion's type is
the encoder, its level the number in the setting.
"""

from __future__ import annotations

import re
from pathlib import Path

from pixelperfect_models.evaluation.datasets.base import Layout, Rating, child, csv_rows, has, number

LIST = "CID22_validation_set.csv"
COLUMNS = ("reference_img", "distorted_img", "encoder", "setting", "MCOS")


def _base(folder: Path) -> Path:
    """Where the pictures are: beside the CSV, or in the folder of its name."""
    inside = child(folder, "CID22_validation_set")
    return inside if inside.is_dir() else folder


def read(folder: Path) -> list[Rating]:
    """The ratings of CID22's validation part."""
    file, base = child(folder, LIST), _base(folder)
    rows = []
    for line, row in csv_rows(file, COLUMNS):
        if row["encoder"].lower() == "reference":
            continue
        digits = re.search(r"\d+", row["setting"])
        mcos = number(row["MCOS"], f"{file}:{line}", "MCOS")
        level = int(digits[0]) if digits else None
        rows.append(Rating(base / row["distorted_img"], base / row["reference_img"], row["encoder"], level, mcos))
    return rows


LAYOUT = Layout(
    "CID22 (validation part)",
    f"{LIST}, beside or above its pictures",
    "MCOS, 0 to 100, higher is better: as it is",
    lambda folder: has(folder, LIST),
    read,
)
