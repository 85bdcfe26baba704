"""TID2013 and TID2008: the Tampere image databases, which share one layout.

Layout, as in the authors' archives tid2013.rar and tid2008.rar and their ``readme``: ``reference_images/`` with
I01.BMP to I25.BMP (one of them in lower case), ``distorted_images/`` with ``iXX_YY_Z.bmp`` (content XX, type YY,
level Z), ``mos.txt`` with one mean opinion score a line and ``mos_with_names.txt`` with ``score name`` lines. The
scores of ``mos.txt`` are in the order of content, type, level. TID2008 has 17 types at 4 levels, TID2013 those
17 and 7 more at 5.

Ponomarenko et al., TID2008, Advances of Modern Radioelectronics 10, 2009; Image database TID2013: peculiarities,
results and perspectives, Signal Processing: Image Communication 30, 2015.

Orientation: MOS, 0 to 9, higher is better; taken as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.datasets.base import Layout, PictureIndex, Rating, child, has, lines, number

TYPES = (
    "additive_gaussian_noise",
    "color_noise",
    "spatially_correlated_noise",
    "masked_noise",
    "high_frequency_noise",
    "impulse_noise",
    "quantization_noise",
    "gaussian_blur",
    "image_denoising",
    "jpeg",
    "jpeg2000",
    "jpeg_transmission_errors",
    "jpeg2000_transmission_errors",
    "non_eccentricity_pattern_noise",
    "local_blockwise",
    "mean_shift",
    "contrast_change",
    "saturation_change",
    "multiplicative_gaussian_noise",
    "comfort_noise",
    "lossy_compression_of_noisy",
    "color_quantization_dither",
    "chromatic_aberrations",
    "sparse_sampling",
)
"""Name of type 1, 2, ... of TID2013; TID2008 has the first 17."""

CONTENTS = 25
_NAME = re.compile(r"i(\d+)_(\d+)_(\d+)(\.\w+)?", re.IGNORECASE)


def scores(folder: Path) -> list[tuple[str, str, float]]:
    """(place in the file, picture name, MOS) of every line of the list in ``folder``. Raises UserError."""
    named = child(folder, "mos_with_names.txt")
    if named.is_file():
        found = []
        for line, text in lines(named):
            parts = text.split()
            where = f"{named}:{line}"
            if len(parts) != 2:
                raise UserError(f"{where}: {text!r}, expected a score and a file name such as '5.51429 I01_01_1.bmp'")
            found.append((where, parts[1], number(parts[0], where, "score")))
        return found
    plain = child(folder, "mos.txt")
    values = [(f"{plain}:{line}", number(text, f"{plain}:{line}", "score")) for line, text in lines(plain)]
    kinds_levels = {CONTENTS * 17 * 4: (17, 4), CONTENTS * 24 * 5: (24, 5)}
    if len(values) not in kinds_levels:
        raise UserError(
            f"{plain}: {len(values)} scores, expected 1700 (TID2008) or 3000 (TID2013); a part of a set needs "
            "mos_with_names.txt"
        )
    kinds, levels = kinds_levels[len(values)]
    names = [
        f"i{content:02}_{kind:02}_{level}.bmp"
        for content in range(1, CONTENTS + 1)
        for kind in range(1, kinds + 1)
        for level in range(1, levels + 1)
    ]
    return [(where, name, value) for (where, value), name in zip(values, names, strict=True)]


def read(folder: Path) -> list[Rating]:
    """The ratings of TID2013 or TID2008."""
    distorted = PictureIndex(child(folder, "distorted_images"))
    references = PictureIndex(child(folder, "reference_images"))
    rows = []
    for where, name, mos in scores(folder):
        parsed = _NAME.fullmatch(name)
        kind = int(parsed[2]) if parsed else 0
        if parsed is None or not 1 <= kind <= len(TYPES):
            raise UserError(f"{where}: {name!r}, expected a name such as i01_24_5.bmp (content, type 1 to 24, level)")
        reference = references.find(f"i{parsed[1]}.bmp")
        rows.append(Rating(distorted.find(name), reference, TYPES[kind - 1], int(parsed[3]), mos))
    return rows


def _is_tid(folder: Path) -> bool:
    listed = has(folder, "mos_with_names.txt") or has(folder, "mos.txt")
    return listed and has(folder, "distorted_images", "reference_images")


def _is_tid2013(folder: Path) -> bool:
    # Only TID2013 has types above 17 and a fifth level.
    if not _is_tid(folder):
        return False
    parsed = [_NAME.fullmatch(name) for _, name, _ in scores(folder)]
    return any(match is not None and (int(match[2]) > 17 or int(match[3]) > 4) for match in parsed)


_LOOKED_FOR = "mos_with_names.txt (or mos.txt), distorted_images/, reference_images/"
_ORIENTATION = "MOS, 0 to 9, higher is better: as it is"

TID2013 = Layout("TID2013", f"{_LOOKED_FOR}, 24 types x 5 levels", _ORIENTATION, _is_tid2013, read)
TID2008 = Layout(
    "TID2008",
    f"{_LOOKED_FOR}, 17 types x 4 levels",
    _ORIENTATION,
    lambda folder: _is_tid(folder) and not _is_tid2013(folder),
    read,
)
