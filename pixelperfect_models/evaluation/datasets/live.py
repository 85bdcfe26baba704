"""LIVE image quality assessment database, release 2: 29 references, 779 distorted pictures of five types.

Layout, as in the authors' archive databaserelease2.zip and its readme.txt: ``refimgs/`` and one folder for each
type with ``img1.bmp``, ``img2.bmp``, ... and ``info.txt``, whose lines name the reference, the picture and the
distortion's strength; ``dmos.mat`` with ``dmos`` and ``orgs``, one entry a picture, the folders one after the other
in the order jp2k (227), jpeg (233), wn (174), gblur (174), fastfading (174); ``refnames_all.mat`` with the reference
of each entry. ``orgs`` is 1 where the picture is a copy of its reference; those are left out, as the authors ask.
``dmos_realigned.mat`` (``dmos_new``), which they offer beside the archive and recommend, is taken where it is there.

Sheikh, Sabir, Bovik, A statistical evaluation of recent full reference image quality assessment algorithms, IEEE
TIP 15(11), 2006.

Orientation: DMOS, about 0 to 100, higher is worse; turned to 100 - DMOS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.datasets.base import Layout, PictureIndex, Rating, child, has, lines

FOLDERS = {
    "jp2k": ("jpeg2000", 227),
    "jpeg": ("jpeg", 233),
    "wn": ("white_noise", 174),
    "gblur": ("gaussian_blur", 174),
    "fastfading": ("fast_fading", 174),
}
"""Folder -> (the type's name, how many pictures the full set has in it), in the order of the scores."""


def _mat(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = scipy.io.loadmat(file, squeeze_me=True)
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        raise UserError(f"{file}: not a MATLAB file that can be read ({error})") from None
    return found


def _vector(file: Path, mat: dict[str, Any], name: str) -> np.ndarray:
    if name not in mat:
        known = ", ".join(sorted(key for key in mat if not key.startswith("__")))
        raise UserError(f"{file}: no variable {name!r}, only {known or 'none'}")
    return np.atleast_1d(np.asarray(mat[name])).ravel()


def _info(folder: Path) -> dict[str, str]:
    """Picture name -> reference name, both in lower case, of one type's info.txt."""
    file = child(folder, "info.txt")
    found = {}
    for line, text in lines(file):
        parts = text.split()
        if len(parts) < 2:
            raise UserError(f"{file}:{line}: {text!r}, expected a reference, a picture and a strength")
        found[parts[1].lower()] = parts[0].lower()
    return found


def _scores(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    file = child(folder, "dmos.mat")
    plain = _mat(file) if file.is_file() else {}
    realigned = child(folder, "dmos_realigned.mat")
    if realigned.is_file():
        better = _mat(realigned)
        dmos = _vector(realigned, better, "dmos_new")
        copies = _vector(realigned, better, "orgs") if "orgs" in better else _vector(file, plain, "orgs")
        return realigned, dmos.astype(float), copies.astype(int)
    return file, _vector(file, plain, "dmos").astype(float), _vector(file, plain, "orgs").astype(int)


def read(folder: Path) -> list[Rating]:
    """The ratings of LIVE, release 2."""
    file, dmos, copies = _scores(folder)
    infos = {name: _info(child(folder, name)) for name in FOLDERS if has(child(folder, name), "info.txt")}
    counts = {name: count for name, (_, count) in FOLDERS.items()}
    if len(dmos) != sum(counts.values()):  # a part of the set: its info.txt files say how many pictures it has
        counts = {name: len(infos.get(name, {})) for name in FOLDERS}
    if not len(dmos) == len(copies) == sum(counts.values()):
        raise UserError(
            f"{file}: {len(dmos)} scores and {len(copies)} orgs for {sum(counts.values())} pictures in "
            f"{', '.join(FOLDERS)}; expected 982 of each, or as many as the info.txt files name"
        )
    listed = child(folder, "refnames_all.mat")
    names = _vector(listed, _mat(listed), "refnames_all") if listed.is_file() else None
    if names is not None and len(names) != len(dmos):
        raise UserError(f"{listed}: {len(names)} references for the {len(dmos)} scores of {file}")
    references = PictureIndex(child(folder, "refimgs"))
    rows, entry = [], -1
    for name, (kind, _) in FOLDERS.items():
        pictures = PictureIndex(child(folder, name))
        for index in range(1, counts[name] + 1):
            entry += 1
            if copies[entry] == 1:
                continue
            picture = f"img{index}.bmp"
            reference = str(names[entry]) if names is not None else infos.get(name, {}).get(picture)
            if reference is None:
                raise UserError(f"{child(folder, name) / 'info.txt'}: no line for {picture}, and no refnames_all.mat")
            found = references.find(reference)
            rows.append(Rating(pictures.find(picture), found, kind, None, 100.0 - float(dmos[entry])))
    return rows


LAYOUT = Layout(
    "LIVE release 2",
    "dmos.mat (or dmos_realigned.mat), refimgs/, jp2k/, jpeg/, wn/, gblur/, fastfading/",
    "DMOS, about 0 to 100, lower is better: 100 - DMOS",
    lambda folder: has(folder, "refimgs", *FOLDERS) and (has(folder, "dmos.mat") or has(folder, "dmos_realigned.mat")),
    read,
)
