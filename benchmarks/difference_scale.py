"""What a value of judge.difference looks like: its median at each distortion level of TID2013's development part.

    PIXELPERFECT_DATA=... python benchmarks/difference_scale.py [--write]

`--write` puts the table between the marks of docs/choosing_penalties.md. About two minutes.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.datasets import read_dataset
from pixelperfect_models.images import read_image
from pixelperfect_models.judge import PixelPerfect

PAGE = Path(__file__).parents[1] / "docs" / "choosing_penalties.md"


def by_level(folder: Path) -> dict[int, list[float]]:
    """The difference of every distorted picture from its reference, by the level of its distortion, 1 to 5."""
    judge = PixelPerfect.from_pretrained()
    states: dict[Path, Any] = {}
    found: dict[int, list[float]] = defaultdict(list)
    with torch.no_grad():
        for row in read_dataset(folder)[1]:
            if row.reference not in states:
                states[row.reference] = judge.prepare(read_image(row.reference))
            found[int(row.level)].append(float(judge.difference(read_image(row.distorted), states[row.reference])))
    return found


def table(found: dict[int, list[float]]) -> str:
    """Median and the middle half of the differences at each level."""
    levels = sorted(found)
    quarters = {level: np.percentile(found[level], (25, 50, 75)) for level in levels}
    return "\n".join(
        (
            "| level | " + " | ".join(map(str, levels)) + " |",
            "|---|" + "---:|" * len(levels),
            "| difference, median | " + " | ".join(f"{quarters[level][1]:.2f}" for level in levels) + " |",
            "| half of the pictures between | "
            + " | ".join(f"{quarters[level][0]:.2f} and {quarters[level][2]:.2f}" for level in levels)
            + " |",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/choosing_penalties.md")
    options = parser.parse_args()
    tune_allocator()
    made = table(by_level(Path(os.environ["PIXELPERFECT_DATA"]) / "ratings/tid2013"))
    print(made)
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        marked = re.compile(r"(<!--levels-->\n).*?(<!--/levels-->)", re.DOTALL)
        PAGE.write_text(marked.sub(lambda found: f"{found[1]}\n{made}\n\n{found[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
