"""A run of recipes/denoise.yaml by metrics it did not use: defaults and best on the whole pictures.

python benchmarks/denoise_metrics.py RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import yaml

import pipelines
from pixelperfect_models.evaluation.classical import classical_metrics
from pixelperfect_models.images import read_image
from tuner import load_recipe


def main(run_dir: Path) -> None:
    recipe = load_recipe(run_dir / "recipe.yaml")
    pipeline = pipelines.load(recipe.pipeline.name)
    best = yaml.safe_load((run_dir / "best_parameters.yaml").read_text(encoding="utf-8"))
    for name, parameters in (("defaults", recipe.pipeline.fixed), ("best", best)):
        rows = []
        for pair in recipe.pairs:
            assert pair.reference is not None
            with torch.no_grad():
                output = pipeline(read_image(pair.input), parameters)
                rows.append([value[0] for value in classical_metrics(output, read_image(pair.reference)).values()])
        means = np.mean(rows, axis=0)
        found = zip(("vsi", "mdsi (lower is better)", "haarpsi", "psnr"), means, strict=True)
        print(name, ", ".join(f"{metric} {value:.4f}" for metric, value in found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
