"""Pruned evaluation against full: the best that is found, and the share of picture evaluations that it took.

    PIXELPERFECT_DATA=... python benchmarks/pruning.py [--work DIR] [--seeds N] [--trials N] [--crop N] [--sampler NAME]

Writes docs/pruning_figures.md. Non-local means with sharpening (OpenCV), ten PolyU crops of different scenes, the
judge's difference from the clean picture. For each seed the same search without pruning and with each rule. A finished
search in DIR is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from denoise_real import scene

from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.images import list_images
from pixelperfect_models.judge import PixelPerfect
from tuner import load_recipe, run

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = 10
ARMS: dict[str, dict[str, Any]] = {
    "every picture": {},
    "gaussian, 0.1": {"prune": {"rule": "gaussian", "level": 0.1}},
    "gaussian, 0.2": {"prune": {"rule": "gaussian", "level": 0.2}},
    "wilcoxon, 0.1": {"prune": {"rule": "wilcoxon", "level": 0.1}},
}


def pictures(data: Path) -> list[Path]:
    """One crop of each of ten PolyU scenes, evenly spread over them."""
    scenes: dict[str, Path] = {}
    for path in list_images(data / "real_noise/polyu/noisy"):
        scenes.setdefault(scene(path), path)
    paths = list(scenes.values())
    return [paths[round(i * (len(paths) - 1) / (PICTURES - 1))] for i in range(PICTURES)]


def search(work: Path, name: str, options: dict[str, Any], images: dict[str, Any], judge: PixelPerfect) -> Any:
    """The result.json of one search, run unless it is there."""
    folder = work / name
    kept = folder / "result.json"
    if not kept.is_file() or json.loads(kept.read_text(encoding="utf-8"))["interrupted"]:
        recipe = {
            "name": name,
            "pipeline": {
                "name": "denoise.nlm_opencv",
                "search": {"h": {}, "h_color": {}, "sharpen_amount": {}, "sharpen_sigma": {}},
            },
            "images": images,
            "objective": {"score": {"kind": "difference"}},
            "search": {"strategy": "optuna", **options},
        }
        run(load_recipe(recipe, folder=work), folder, resume=folder.exists(), quiet=True, judge=judge)
    return json.loads(kept.read_text(encoding="utf-8"))


def document(found: dict[str, list[Any]], options: argparse.Namespace) -> str:
    """The page: one row for each way to evaluate."""
    full = np.array([result["best"]["value"] for result in found["every picture"]])
    start = found["every picture"][0]["start"]["value"]
    gain = np.median(full) - start
    rows = []
    for arm, results in found.items():
        best = np.array([result["best"]["value"] for result in results])
        share = np.array([result.get("pruning", {"share": 1.0})["share"] for result in results])
        stopped = np.mean([result.get("pruning", {"pruned": 0})["pruned"] for result in results])
        behind = 100.0 * (full - best) / gain
        rows.append(
            f"| {arm} | {stopped:.1f} | {100 * share.mean():.0f} % ({100 * share.min():.0f} to {100 * share.max():.0f})"
            f" | {np.median(best):.4f} | {best.min():.4f} to {best.max():.4f} | {behind.mean():+.1f} % |"
        )
    return "\n".join(
        [
            "# Figures of pruned against full evaluation",
            "",
            f"    python benchmarks/pruning.py --seeds {options.seeds} --trials {options.trials} --crop {options.crop} "
            f"--sampler {options.sampler}",
            "",
            f"`denoise.nlm_opencv`, four parameters, {PICTURES} PolyU crops of {options.crop} px, objective: minus the "
            f"judge's difference from the clean picture; sampler {options.sampler}, {options.trials} trials, "
            f"{options.seeds} seeds. The defaults have {start:.4f}. Full searches of different seeds differ by a "
            f"standard deviation of {100 * full.std(ddof=1) / gain:.1f} % of the gain: the noise to compare with.",
            "",
            "| evaluation | trials stopped | picture evaluations | best value, median | range | "
            "mean shortfall to the full search of the seed, of the gain |",
            "|---|---:|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/pruning"), help="folder of the searches")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--sampler", default="tpe")
    options = parser.parse_args(arguments)
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds real_noise/")
    tune_allocator()
    judge = PixelPerfect.from_pretrained()
    noisy = pictures(Path(os.environ["PIXELPERFECT_DATA"]))
    images = {
        "input": [str(path) for path in noisy],
        "reference": [str(path.parents[1] / "clean" / path.name) for path in noisy],
        "crop": options.crop,
    }
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Any]] = {arm: [] for arm in ARMS}
    for seed in range(options.seeds):
        for arm, extra in ARMS.items():
            spec = {"sampler": options.sampler, "trials": options.trials, "seed": seed, **extra}
            name = (
                f"{options.sampler}-{options.trials}-{options.crop}-{seed}-{arm.replace(', ', '-').replace(' ', '-')}"
            )
            result = search(work, name, spec, images, judge)
            found[arm].append(result)
            print(name, result["best"]["value"], result.get("pruning"), f"{result['seconds']:.0f} s", flush=True)
    (DOCS / "pruning_figures.md").write_text(document(found, options), encoding="utf-8")


if __name__ == "__main__":
    main()
