"""KADID-10k: 81 references, 25 distortion types at 5 levels, rated by a crowd.

Layout, as in the authors' archive kadid10k.zip (database.mmsp-kn.de): ``images/`` with references ``I01.png`` and
distorted ``I01_YY_ZZ.png`` (type YY, level ZZ), and ``dmos.csv`` with ``dist_img,ref_img,dmos,var``.

Lin, Hosu, Saupe, KADID-10k: a large-scale artificially distorted IQA database, QoMEX 2019, whose Table I numbers
the types.

Orientation: the column is called dmos but is the mean of degradation category ratings from 1 (very annoying) to
5 (imperceptible), so higher is better already; taken as it is. It falls with the level, which shows the direction.
"""

from __future__ import annotations

import re
from pathlib import Path

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.datasets.base import Layout, PictureIndex, Rating, child, csv_rows, has, number

COLUMNS = ("dist_img", "ref_img", "dmos")

TYPES = (
    "gaussian_blur",
    "lens_blur",
    "motion_blur",
    "color_diffusion",
    "color_shift",
    "color_quantization",
    "color_saturation_hsv",
    "color_saturation_lab",
    "jpeg2000",
    "jpeg",
    "white_noise",
    "white_noise_in_color",
    "impulse_noise",
    "multiplicative_noise",
    "denoising",
    "brighten",
    "darken",
    "mean_shift",
    "jitter",
    "non_eccentricity_patch",
    "pixelate",
    "quantization",
    "color_block",
    "oversharpening",
    "contrast_change",
)
"""Name of type 1, 2, ... 25."""

_NAME = re.compile(r"i\d+_(\d+)_(\d+)(\.\w+)?", re.IGNORECASE)


def read(folder: Path) -> list[Rating]:
    """The ratings of KADID-10k."""
    file = child(folder, "dmos.csv")
    pictures = PictureIndex(child(folder, "images"))
    rows = []
    for line, row in csv_rows(file, COLUMNS):
        where = f"{file}:{line}"
        parsed = _NAME.fullmatch(row["dist_img"])
        kind = int(parsed[1]) if parsed else 0
        if parsed is None or not 1 <= kind <= len(TYPES):
            raise UserError(f"{where}: {row['dist_img']!r}, expected a name such as I01_25_05.png (type 1 to 25)")
        mos = number(row["dmos"], where, "dmos")
        distorted, reference = pictures.find(row["dist_img"]), pictures.find(row["ref_img"])
        rows.append(Rating(distorted, reference, TYPES[kind - 1], int(parsed[2]), mos))
    return rows


LAYOUT = Layout(
    "KADID-10k",
    "dmos.csv (dist_img,ref_img,dmos,var), images/",
    "mean rating, 1 to 5, called dmos but higher is better: as it is",
    lambda folder: has(folder, "dmos.csv", "images"),
    read,
)
