"""A small recipe with its pictures, shared by the tests of recipes and of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

RECIPE = """\
pipeline:
  name: denoise.gaussian
  search:
    sigma: {low: 0.3, high: 2.0}
images:
  input: noisy/*.png
  reference: clean/*.png
objective:
  penalties:
    - {type: blur, weight: 0.5, statistic: p95, region: edges}
search: {strategy: optuna, sampler: random, trials: 2, seed: 0}
"""


def picture(path: Path, width: int = 64, height: int = 48, seed: int = 0, noise: float = 0.0) -> Path:
    """Write a smooth gradient with a bright square, and noise on it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([rows / height, columns / width, np.full((height, width), 0.4)], axis=-1)
    image[height // 4 : height // 2, width // 4 : width // 2] = 0.9
    image = image + noise * rng.standard_normal(image.shape)
    Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8)).save(path)
    return path


def recipe_folder(folder: Path, count: int = 2, text: str = RECIPE) -> Path:
    """Write ``recipe.yaml`` with ``noisy/`` and ``clean/`` beside it; returns the recipe's path."""
    for index in range(count):
        picture(folder / "clean" / f"{index}.png", seed=index)
        picture(folder / "noisy" / f"{index}.png", seed=index, noise=0.1)
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path
