"""The figures of docs/judges.md: the shipped judge on photos and ratings it never saw.

    PIXELPERFECT_DATA=... python benchmarks/judges.py --out docs/judges_figures.md

Planted distortions on photos/test/cid22 (maps) and the development part of TID2013 (score), as `tuner evaluate`
measures them one by one.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.planted import evaluate_planted
from pixelperfect_models.evaluation.ratings import evaluate_ratings


def planted_table(result: dict[str, Any]) -> list[str]:
    lines = [
        f"{result['pairs']} pairs: top-1 {result['top1']:.2f}, AUC {result['auc']:.2f} (means over the types).",
        "",
        "| planted type | top-1 | AUC | channels that answer inside the region (mean excess) |",
        "|---|---|---|---|",
    ]
    for name, row in result["types"].items():
        answers = sorted(row["leakage"].items(), key=lambda item: -item[1])[:3]
        shown = ", ".join(f"{channel} {value:.2f}" for channel, value in answers)
        lines.append(f"| {name} | {row['top1']:.2f} | {row['auc']:.2f} | {shown} |")
    return lines


def ratings_table(result: dict[str, Any]) -> list[str]:
    lines = [
        f"{result['pictures']} pictures.",
        "",
        "| method | SRCC | 95 % interval | KRCC |",
        "|---|---|---|---|",
    ]
    for name, row in sorted(result["overall"].items(), key=lambda item: -item[1]["srcc"]):
        lines.append(f"| {name} | {row['srcc']:.3f} | {row['low']:.3f} to {row['high']:.3f} | {row['krcc']:.3f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-type", type=int, default=12)
    options = parser.parse_args()
    tune_allocator()
    data = Path(os.environ["PIXELPERFECT_DATA"])
    judge = PixelPerfect.from_pretrained()
    planted = evaluate_planted(data / "photos/test/cid22", judge, per_type=options.per_type)
    ratings = evaluate_ratings(data / "ratings/tid2013", judge)
    lines = [
        "# Figures of the shipped judge",
        "",
        f"    python benchmarks/judges.py --per-type {options.per_type} --out docs/judges_figures.md",
        "",
        "## Planted distortions, photos never trained on",
        "",
        "Types of the engine under random regions at intensity 0.4 to 1, 256 px crops of `photos/test/cid22`. Chance",
        f"for top-1 is about {1 / len(judge.types):.2f}; AUC is of the own channel's map telling pixels inside the",
        "region from those outside.",
        "",
        *planted_table(planted),
        "",
        "## Human ratings: the development part of TID2013",
        "",
        "Not comparable with published figures on the full set: two contents only. No rating was trained on or",
        "fitted to.",
        "Metrics are piq's, measured in the same run.",
        "",
        *ratings_table(ratings),
        "",
    ]
    options.out.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
