"""PIPAL, training part: 200 references and 116 outputs of restoration algorithms and distortions of each.

Layout, as the authors and the NTIRE challenges distribute it (github.com/HaomingCai/PIPAL-dataset): ``Train_Ref/``
with ``A0001.bmp``, the distorted ``A0001_YY_ZZ.bmp`` (group YY, variant ZZ) in ``Train_Dist/`` or in the four parts
``Distortion_1`` to ``Distortion_4``, and ``Train_Label/A0001.txt`` with lines ``A0001_00_00.bmp,1520.0648``.

Gu et al., PIPAL: a large-scale image quality assessment dataset for perceptual image restoration, ECCV 2020. The
file names give groups by number; the names here are those of the journal version's Table 10 (arXiv:2011.15002),
whose numbers of variants (12, 16, 10, 24, 13, 14, 27) are those of the groups 00 to 06.

Orientation: Elo rating, about 900 to 1900, higher is better; taken as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.datasets.base import Layout, PictureIndex, Rating, child, has, lines, number

GROUPS = (
    "traditional_super_resolution",
    "psnr_oriented_super_resolution",
    "super_resolution_kernel_mismatch",
    "gan_super_resolution",
    "denoising",
    "super_resolution_and_denoising",
    "traditional_distortions",
)
"""Name of group 00, 01, ... 06."""

_NAME = re.compile(r"([a-z]\d+)_(\d+)_(\d+)(\.\w+)?", re.IGNORECASE)
_DISTORTED = re.compile(r"(train_)?dist.*", re.IGNORECASE)


def _distorted_folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and _DISTORTED.fullmatch(path.name)]


def read(folder: Path) -> list[Rating]:
    """The ratings of PIPAL's training part."""
    distorted = PictureIndex(*(_distorted_folders(folder) or [child(folder, "Train_Dist")]))
    references = PictureIndex(child(folder, "Train_Ref"))
    rows = []
    for file in sorted(child(folder, "Train_Label").glob("*.txt")):
        for line, text in lines(file):
            where = f"{file}:{line}"
            name, _, score = text.partition(",")
            parsed = _NAME.fullmatch(name.strip())
            group = int(parsed[2]) if parsed else -1
            if parsed is None or not 0 <= group < len(GROUPS):
                raise UserError(
                    f"{where}: {text!r}, expected a line such as 'A0001_00_00.bmp,1520.0648' (group 00 to 06)"
                )
            elo = number(score.strip(), where, "Elo rating")
            reference = references.find(f"{parsed[1]}.bmp")
            rows.append(Rating(distorted.find(name.strip()), reference, GROUPS[group], int(parsed[3]), elo))
    return rows


LAYOUT = Layout(
    "PIPAL (training part)",
    "Train_Label/*.txt, Train_Ref/, Train_Dist/ (or Distortion_1/ ...)",
    "Elo rating, higher is better: as it is",
    lambda folder: has(folder, "Train_Ref", "Train_Label") and bool(_distorted_folders(folder)),
    read,
)
