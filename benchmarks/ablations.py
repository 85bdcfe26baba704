"""The rows of docs/ablations.md: each a configuration, one change away from the shipped one.

    PIXELPERFECT_DATA=... python benchmarks/ablations.py --work DIR [--only NAME ...] [--steps 1500] [--sets DIR]

Files in benchmarks/ablations say what a row changes. `distortion` rows train F anew for ``--steps`` steps and are
judged by its maps; `score` rows train S on the shipped F and are judged on the development part of TID2013. A row that
is finished in DIR is not trained again, one that was stopped goes on. ``--sets`` names the folder of a finished score
training, whose sets and artefacts are then used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console
from scipy.stats import spearmanr

from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.datasets import read_dataset
from pixelperfect_models.evaluation.map_trust import evaluate_foreign, read_photos
from pixelperfect_models.evaluation.ratings import JUDGE, JUDGE_RELATIONAL, evaluate_ratings
from pixelperfect_models.images import read_array, to_tensor
from pixelperfect_models.judge import DISTORTION_WEIGHTS, SCORE_WEIGHTS, shipped_weights
from pixelperfect_models.training import train_distortion, train_score
from pixelperfect_models.training.config import shipped_configs

ROWS = Path(__file__).with_suffix("")
DOCS = Path(__file__).parents[1] / "docs"
SIDE = 256


def merged(row: dict[str, Any], steps: int, sets: int) -> dict[str, Any]:
    """The whole training configuration of a row."""
    config: dict[str, Any] = yaml.safe_load(shipped_configs()["compact"].read_text(encoding="utf-8"))
    config[row["trains"]] |= {"distortion": {"steps": steps}, "score": {"sets": sets}}[row["trains"]]
    for section, changes in row["changes"].items():
        config[section] |= changes
    return config


def train(settings: dict[str, Any], trains: str, folder: Path, sets: Path | None = None) -> None:
    """Train ``distortion`` or ``score`` into ``folder``, on from where it was; the other network is the shipped one.

    Args:
        settings: the whole training configuration, from :func:`merged`.
        sets: a finished score training, whose sets are taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    console = Console()
    trained = DISTORTION_WEIGHTS if trains == "distortion" else SCORE_WEIGHTS
    other = SCORE_WEIGHTS if trains == "distortion" else DISTORTION_WEIGHTS
    shutil.copy(shipped_weights() / other, folder / other)
    if (folder / trained).is_file():
        return
    if trains == "distortion":
        train_distortion(config, folder, resume=(folder / "distortion").is_dir(), console=console)
        return
    if sets is not None:
        for name in ("sets", "sets_validation"):
            if not (folder / name).exists():
                (folder / name).symlink_to((sets / name).resolve(), target_is_directory=True)
    train_score(config, folder, resume=(folder / "score").is_dir(), console=console)


@torch.no_grad()
def sum_of_maps(judge: PixelPerfect, folder: Path) -> float:
    """SRCC with the ratings of the maps' mean distance from neutral, summed over the channels."""
    ratings = read_dataset(folder)[1]
    sums = []
    for rating in ratings:
        maps = judge.maps(*(to_tensor(read_array(path)) for path in (rating.distorted, rating.reference)))
        sums.append(float((2.0 * maps - 1.0).abs().mean((0, 2, 3)).sum()))
    return float(-spearmanr(sums, [rating.mos for rating in ratings]).statistic)


@torch.no_grad()
def swap_error(judge: PixelPerfect, folder: Path) -> float:
    """Mean of |F(a, b) + F(b, a) - 1| over every twentieth rated picture."""
    errors = []
    for rating in read_dataset(folder)[1][::20]:
        a, b = (to_tensor(read_array(path)) for path in (rating.distorted, rating.reference))
        errors.append(float((judge.maps(a, b) + judge.maps(b, a) - 1.0).abs().mean()))
    return float(np.mean(errors))


def measure(row: dict[str, Any], folder: Path, data: Path, per_type: int) -> dict[str, float]:
    """The figures of a trained row."""
    judge = PixelPerfect.from_pretrained(folder)
    rated = data / "ratings/tid2013"
    if row["trains"] == "score":
        overall = evaluate_ratings(rated, judge, metrics=(), bootstrap=10)["overall"]
        return {"difference": overall[JUDGE]["srcc"], "relational": overall[JUDGE_RELATIONAL]["srcc"]}
    photos = read_photos([data / "photos/test/cid22", data / "photos/test/kodak"], SIDE)
    mean = evaluate_foreign(judge, photos, per_type, SIDE)["mean"]
    return {
        "top1": mean["top1"],
        "auc": mean["auc"],
        "iou": mean["iou"],
        "srcc": mean["srcc"],
        "leakage": mean["leakage"],
        "swap": swap_error(judge, rated),
        "sum": sum_of_maps(judge, rated),
    }


# Heading, figure and its format.
_DISTORTION_COLUMNS = (
    ("top-1", "top1", ".3f"),
    ("AUC", "auc", ".3f"),
    ("IoU", "iou", ".3f"),
    ("intensity SRCC", "srcc", ".3f"),
    ("leakage", "leakage", ".4f"),
    ("swap", "swap", ".1e"),
    ("sum", "sum", ".3f"),
)
_SCORE_COLUMNS = (("difference", "difference", ".3f"), ("relational score", "relational", ".3f"))


def table(results: dict[str, Any], trained: str, columns: tuple[tuple[str, str, str], ...]) -> list[str]:
    """The Markdown table of the rows that train ``trained``."""
    lines = ["| " + " | ".join(["row", "steps", *(heading for heading, _, _ in columns)]) + " |"]
    lines.append("|" + "---|" * (2 + len(columns)))
    for row in (row for row in results.values() if row["trains"] == trained):
        cells = [row["title"], str(row["steps"]), *(format(row["figures"][key], form) for _, key, form in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def document(results: dict[str, Any]) -> str:
    """docs/ablations.md."""
    lines = [
        "# Ablations",
        "",
        "Each row is one file in `benchmarks/ablations`, trained and measured by",
        "",
        "    python benchmarks/ablations.py --work DIR --sets DIR_OF_A_SCORE_TRAINING",
        "",
        "## The distortion network",
        "",
        "Trained for the same, short time from the same start, so rows compare with each other and not with the",
        "shipped weights. Top-1, AUC, IoU, intensity SRCC and leakage: other implementations than the engine's, as in",
        "[maps_trust.md](maps_trust.md), fewer crops. *Swap*: mean |F(a, b) + F(b, a) - 1| on TID2013's pictures.",
        "*Sum*: SRCC of the maps' summed distances from neutral with the ratings of the development part of TID2013.",
        "",
        *table(results, "distortion", _DISTORTION_COLUMNS),
        "",
        "## The scoring network",
        "",
        "On the shipped distortion network, whole schedule on half the sets (`--score-sets 1200`; `--sets` takes those",
        "of another row). SRCC on the development part of TID2013 (236 pictures). The direction, of which the",
        "relational score is, is trained anew on what each row has learnt; no row changes how.",
        "",
        *table(results, "score", _SCORE_COLUMNS),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the trainings")
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--steps", type=int, default=1500, help="of the distortion rows")
    parser.add_argument("--score-sets", type=int, default=1200, help="quality sets of the score rows")
    parser.add_argument("--sets", type=Path, help="folder of a finished score training")
    parser.add_argument("--per-type", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds photos/ and ratings/")
    tune_allocator()
    torch.set_num_threads(options.threads)
    names = options.only or sorted(path.stem for path in ROWS.glob("*.yaml"))
    kept = DOCS / "ablations.json"
    results: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for name in names:
        file = ROWS / f"{name}.yaml"
        if not file.is_file():
            raise UserError(f"{file}: no such row")
        row = yaml.safe_load(file.read_text(encoding="utf-8"))
        folder = options.work / name
        settings = merged(row, options.steps, options.score_sets)
        train(settings, row["trains"], folder, options.sets)
        results[name] = {
            "title": row["title"],
            "trains": row["trains"],
            "steps": settings[row["trains"]]["steps"],
            "figures": measure(row, folder, Path(os.environ["PIXELPERFECT_DATA"]), options.per_type),
        }
        results = dict(sorted(results.items()))
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (DOCS / "ablations.md").write_text(document(results), encoding="utf-8")
        print(name, results[name]["figures"], flush=True)


if __name__ == "__main__":
    main()
