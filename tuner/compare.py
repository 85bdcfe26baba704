"""Compare two pictures: which looks better, and of which distortion has which of them more (``tuner compare``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelperfect_models.channels import SIGNED_CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image, to_array
from tuner.map_sheet import map_sheet
from tuner.map_summary import summarize
from tuner.objective import Judge
from tuner.overlays import signed_excess
from tuner.regions import Region, worst_region


@dataclass(frozen=True)
class TypeRow:
    """One line of the table: how much more of one distortion the test has than the reference.

    ``mean``, ``p95``, ``max`` and ``min`` are over all pixels of the signed excess ``2 F - 1``, in intensity units
    [-1, 1]: positive where the test has more, negative where the reference has more. ``p95`` is the mean of the five
    per cent largest values. (A recipe's penalties look at the positive part alone, so theirs are never negative.)
    """

    type: str
    mean: float
    p95: float
    max: float
    min: float
    worst: Region | None

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values, for JSON."""
        numbers = {name: round(getattr(self, name), 4) for name in ("mean", "p95", "max", "min")}
        return {**numbers, "worst_region": self.worst.as_dict() if self.worst else None}


@dataclass(frozen=True)
class Comparison:
    """What the judge says of a test picture beside a reference.

    Attributes:
        names: what test and reference are called.
        score: relational score; positive where the test looks better, 0 for two equal pictures.
        rows: one :class:`TypeRow` a distortion type, in the judge's order.
        excess: signed excess of every type, (K, H, W) float32 in [-1, 1].
        test, ref: the pictures, (H, W, 3) float32 in [0, 1].
    """

    names: tuple[str, str]
    score: float
    rows: tuple[TypeRow, ...]
    excess: np.ndarray
    test: np.ndarray
    ref: np.ndarray

    def as_dict(self) -> dict[str, Any]:
        """Score and table as plain values, for ``--json``."""
        better = "alike" if self.score == 0 else "test" if self.score > 0 else "reference"
        return {
            "test": self.names[0],
            "reference": self.names[1],
            "score": round(self.score, 6),
            "better": better,
            "types": {row.type: row.as_dict() for row in self.rows},
        }

    def picture(self) -> np.ndarray:
        """Test, reference and every map as an overlay, with worst regions and legend: (H', W', 3) in [0, 1]."""
        types, regions = [row.type for row in self.rows], [row.worst for row in self.rows]
        return map_sheet(self.test, self.ref, self.excess, types, self.score, self.names, regions)


def compare(test_path: str | Path, ref_path: str | Path, judge: Judge) -> Comparison:
    """Compare two picture files of equal size.

    Args:
        test_path, ref_path: the pictures; the reference need not be pristine.
        judge: the trained judges.

    Raises:
        ImageFileError: a file is missing, broken or too small.
        UserError: the two pictures differ in size.
    """
    test, ref = read_image(test_path), read_image(ref_path)
    require_same_size({str(test_path): test, str(ref_path): ref})
    return compare_images(test, ref, judge, (str(test_path), str(ref_path)))


def compare_images(
    test: torch.Tensor, ref: torch.Tensor, judge: Judge, names: tuple[str, str] = ("test", "reference")
) -> Comparison:
    """Compare two (1, 3, H, W) tensors in [0, 1] of equal size; see :func:`compare`."""
    with torch.no_grad():
        maps, score = judge.judge(test, judge.prepare(ref))
    excess = signed_excess(maps[0].float().cpu().numpy())
    rows = tuple(type_row(name, values) for name, values in zip(judge.types, excess, strict=True))
    return Comparison(names, float(score[0]), rows, excess, to_array(test), to_array(ref))


def type_row(name: str, excess: np.ndarray) -> TypeRow:
    """The table's line for one signed map (H, W) in [-1, 1]."""
    numbers = summarize(excess)
    return TypeRow(
        name, numbers.mean, numbers.p95, numbers.max, numbers.min, worst_region(excess, name in SIGNED_CHANNELS)
    )


def require_same_size(pictures: dict[str, torch.Tensor]) -> None:
    """Raise UserError, naming the file, unless all (1, 3, H, W) pictures are as large as the first one."""
    (first, model), *others = pictures.items()
    for name, picture in others:
        if picture.shape[-2:] != model.shape[-2:]:
            raise UserError(
                f"{name} is {picture.shape[-1]} x {picture.shape[-2]} pixels but {first} is "
                f"{model.shape[-1]} x {model.shape[-2]}; pictures must have the same size to be compared"
            )
