"""Defaults against tuned parameters on real camera noise that the search did not see, by metrics it did not use.

    tuner run recipes/denoise_real.yaml --out runs/denoise_real
    python benchmarks/denoise_real.py runs/denoise_real --out docs/denoise_real.md

Every PolyU crop of a scene that no picture of the run belongs to is denoised with the pipeline's defaults and with the
run's best parameters; PSNR, VSI, MDSI and HaarPSI (piq) of both, of the noisy input, and the share of crops improved.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
import yaml

import pipelines
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.classical import METRICS, classical_metrics
from pixelperfect_models.images import list_images, read_image
from tuner import load_recipe

NAMES = ("psnr", "vsi", "mdsi", "haarpsi")


def scene(path: Path) -> str:
    """PolyU files are named camera_aperture_shutter_iso_scene_number."""
    return path.stem.rpartition("_")[0]


def measure(run_dir: Path) -> str:
    recipe = load_recipe(run_dir / "recipe.yaml")
    tuned = yaml.safe_load((run_dir / "best_parameters.yaml").read_text(encoding="utf-8"))
    pipeline = pipelines.load(recipe.pipeline.name)
    # The defaults meet the same fixed parameters, so that only what was searched differs.
    defaults = dict(recipe.pipeline.fixed)
    seen = {scene(Path(pair.input)) for pair in recipe.pairs}
    folder = Path(os.environ["PIXELPERFECT_DATA"]) / "real_noise" / "polyu"
    held_out = [path for path in list_images(folder / "noisy") if scene(path) not in seen]
    values: dict[str, list[list[float]]] = {"input": [], "defaults": [], "tuned": []}
    for path in held_out:
        noisy, clean = read_image(path), read_image(folder / "clean" / path.name)
        with torch.no_grad():
            outputs = {"input": noisy, "defaults": pipeline(noisy, defaults), "tuned": pipeline(noisy, tuned)}
        for name, output in outputs.items():
            found = classical_metrics(output, clean, NAMES)
            values[name].append([found[metric][0] for metric in NAMES])
    table = {name: np.array(rows) for name, rows in values.items()}
    lines = [
        f"{len(held_out)} crops of {len({scene(p) for p in held_out})} scenes that the search did not see "
        f"({len(seen)} scenes, {len(recipe.pairs)} crops were searched on). Pipeline `{pipeline.name}`.",
        "",
        "| metric | better | noisy input | defaults | tuned | crops improved over the defaults |",
        "|---|---|---|---|---|---|",
    ]
    for index, metric in enumerate(NAMES):
        sign = METRICS[metric][1]
        won = float(np.mean(sign * (table["tuned"] - table["defaults"])[:, index] > 0))
        means = " | ".join(f"{table[name][:, index].mean():.4f}" for name in ("input", "defaults", "tuned"))
        lines.append(f"| {metric.upper()} | {'higher' if sign > 0 else 'lower'} | {means} | {won:.0%} |")
    shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in sorted(tuned.items()))
    return "\n".join([*lines, "", f"Tuned parameters: {shown}.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--out", type=Path, help="Markdown file to write; printed where left out")
    arguments = parser.parse_args()
    tune_allocator()
    text = measure(arguments.run_dir)
    print(text)
    if arguments.out:
        head = (
            "# A denoiser tuned on real camera noise\n\n"
            "    tuner run recipes/denoise_real.yaml --out runs/denoise_real\n"
            "    python benchmarks/denoise_real.py runs/denoise_real --out docs/denoise_real.md\n\n"
        )
        arguments.out.write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
