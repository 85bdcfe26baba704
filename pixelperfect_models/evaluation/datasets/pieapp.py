"""PieAPP, test part: 40 references, 15 distorted pictures of each, scores from exhaustive pairwise comparisons.

Layout, as in the authors' archive and their dataset_README.md (github.com/prashnani/PerceptualImageError):
``reference_images/test/ref_N.png``, ``distorted_images/test/ref_N/distort_N_TYPE_inter_ID.png`` and
``labels/test/ref_N_per_image_score.csv`` with a header and the columns reference, distorted picture, score. The
training and validation parts hold preferences between pairs only, no score for a picture, and are not read.

Prashnani, Cai, Mostofi, Sen, PieAPP: perceptual image-error assessment through pairwise preference, CVPR 2018.

Orientation: the score says how different people find the picture from its reference, which itself has 0; higher
is worse; turned to -score. A row that rates the reference itself is left out.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.datasets.base import Layout, PictureIndex, Rating, child, has, number

_NAME = re.compile(r"distort_\d+_(.+?)_(inter|intra)_?(.*)", re.IGNORECASE)


def _lists(folder: Path) -> list[Path]:
    found = child(child(folder, "labels"), "test").glob("*_per_image_score.csv")
    return sorted(found, key=lambda path: (len(path.name), path.name))


def read(folder: Path) -> list[Rating]:
    """The ratings of PieAPP's test part."""
    references = PictureIndex(child(child(folder, "reference_images"), "test"))
    distorted = PictureIndex(child(child(folder, "distorted_images"), "test"))
    rows = []
    for file in _lists(folder):
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            next(reader, None)  # the header
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                where = f"{file}:{reader.line_num}"
                if len(cells) < 3:
                    raise UserError(f"{where}: {len(cells)} columns, expected reference, distorted picture, score")
                reference, picture = cells[0].strip(), cells[1].strip()
                if picture == reference:
                    continue
                parsed = _NAME.fullmatch(Path(picture).stem)
                if parsed is None:
                    raise UserError(
                        f"{where}: {picture!r}, expected a name such as distort_3_gaussian_blur_inter_1.png"
                    )
                mos = -number(cells[2], where, "score")
                rows.append(Rating(distorted.find(picture), references.find(reference), parsed[1].lower(), None, mos))
    return rows


LAYOUT = Layout(
    "PieAPP (test part)",
    "labels/test/*_per_image_score.csv, reference_images/test/, distorted_images/test/",
    "difference from the reference, lower is better: -score",
    lambda folder: has(folder, "labels", "reference_images", "distorted_images") and bool(_lists(folder)),
    read,
)
