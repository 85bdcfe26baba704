"""What ``search_efficiency.py`` searches: four recipes on small pictures, an evaluation taking tens of milliseconds."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from known_optimum import OPTIMUM, Develop

from pipelines.inputs import PICTURES
from pixelperfect_models.images import read_image, write_image
from tuner import load_recipe
from tuner.objective import Judge, Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe import Recipe
from tuner.runner import prepare

ROOT = Path(__file__).parents[1]

_SIDES = {"denoise": 64, "codec": 128, "jpeg": 128, "known": 64, "isp": 64, "isp_choice": 64}
"""Pixels of the one crop of each task: the searches are compared, not the pictures."""

RECIPES: dict[str, dict[str, Any]] = {
    # The pictures of recipes/denoise.yaml, another denoiser, which has no gradient.
    "denoise": {
        "pipeline": {
            "name": "denoise.nlm_opencv",
            "fixed": {"search_window": 9},
            "search": {"h": {}, "h_color": {}, "template_window": {}, "sharpen_amount": {}, "sharpen_sigma": {}},
        },
        "objective": {
            "score": {"kind": "difference", "weight": 1.0},
            "penalties": [
                {"type": "luma_noise", "weight": 2.0, "above": 0.02},
                {"type": "chroma_noise", "weight": 1.0, "above": 0.02},
                {"type": "blur", "weight": 2.0, "above": 0.05, "statistic": "p95", "region": "edges"},
                {"type": "detail_loss", "weight": 2.0, "above": 0.05},
                {"type": "oversharpening", "weight": 1.0, "above": 0.02},
                {"type": "saturation", "weight": 1.0, "above": 0.02},
            ],
        },
    },
    # As recipes/codec_pareto.yaml, distance and bits weighed into one number.
    "codec": {
        "pipeline": {"name": "compression.codec", "search": {"codec": {}, "quality": {"low": 5, "high": 95}}},
        "objective": {
            "score": {"kind": "difference", "weight": 1.0},
            "costs": [{"measure": "bits_per_pixel", "weight": 1.0}],
            "penalties": [
                {"type": "blocking", "weight": 2.0, "above": 0.05},
                {"type": "color_shift", "weight": 2.0, "above": 0.05},
            ],
        },
    },
    "jpeg": {
        "pipeline": {
            "name": "compression.jpeg",
            "search": {"quality": {}, "chroma_quality": {}, "subsampling": {}, "progressive": {}, "optimize": {}},
        },
        "objective": {
            "score": {"kind": "difference", "weight": 1.0},
            "costs": [{"measure": "bits_per_pixel", "weight": 2.0}],
            "penalties": [
                {"type": "blocking", "weight": 2.0, "above": 0.05},
                {"type": "color_shift", "weight": 2.0, "above": 0.05},
            ],
        },
    },
    "known": {
        "pipeline": {"name": "known_optimum:Develop", "search": {name: {} for name in OPTIMUM}},
        "objective": {
            "score": {"kind": "difference", "weight": 1.0},
            "penalties": [
                {"type": "exposure", "weight": 1.0},
                {"type": "color_shift", "weight": 1.0},
                {"type": "saturation", "weight": 1.0},
                {"type": "contrast", "weight": 1.0},
                {"type": "blur", "weight": 1.0, "above": 0.02, "statistic": "p95"},
                {"type": "oversharpening", "weight": 1.0, "above": 0.02, "statistic": "p95"},
            ],
        },
    },
}


@dataclass
class Bench:
    """One task, loaded: what every search of it shares."""

    name: str
    recipe: Recipe
    objective: Objective
    space: ParameterSpace


def load(name: str, folder: Path, judge: Judge) -> Bench:
    """The task of this name; its pictures are made in ``folder`` where they are not there yet."""
    data = _isp(name) if name.startswith("isp") else copy.deepcopy(RECIPES[name])
    data["name"] = name
    data["images"] = _pictures(name, folder)
    recipe = load_recipe(data, folder=folder)
    return Bench(name, recipe, *prepare(recipe, judge))


def _isp(name: str) -> dict[str, Any]:
    """recipes/isp.yaml as it ships; ``isp_choice`` searches the demosaicing method too."""
    shipped = yaml.safe_load((ROOT / "recipes/isp.yaml").read_text(encoding="utf-8"))
    pipeline = shipped["pipeline"]
    if name == "isp_choice":
        pipeline["fixed"].pop("demosaic_method")
        pipeline["search"]["demosaic_method"] = {}
    return {"pipeline": pipeline, "objective": shipped["objective"]}


def _pictures(name: str, folder: Path) -> dict[str, Any]:
    if name == "denoise":
        for role in ("noisy", "clean"):
            _crop(ROOT / f"recipes/photos/{role}/nyc.png", folder / f"denoise/{role}/nyc.png", _SIDES[name])
        return {"input": "denoise/noisy/*.png", "reference": "denoise/clean/*.png"}
    _crop(ROOT / "recipes/photos/clean/nyc.png", folder / f"{name}/in/nyc.png", _SIDES[name])
    if name == "known":
        path = folder / "known/ref/nyc.png"
        if not path.exists():
            write_image(path, Develop()(read_image(folder / "known/in/nyc.png"), OPTIMUM))
        return {"input": "known/in/*.png", "reference": "known/ref/*.png"}
    return {"input": f"{name}/in/*.png", "reference": "input" if name in ("codec", "jpeg") else f"{name}/in/*.png"}


def _crop(source: Path, target: Path, side: int) -> None:
    if not target.exists():
        image = read_image(source)
        height, width = image.shape[-2:]
        write_image(target, PICTURES.crop(image, (height - side) // 2, (width - side) // 2, side, side))


def describe(bench: Bench) -> Mapping[str, Any]:
    """What the table says of a task."""
    dimensions = bench.space.dimensions
    return {
        "pipeline": bench.recipe.pipeline.name,
        "parameters": len(dimensions),
        "choices": sum(dimension.choices is not None for dimension in dimensions),
        "integers": sum(dimension.integer for dimension in dimensions),
        "pictures": len(bench.recipe.pairs),
    }


def distance(bench: Bench, parameters: Mapping[str, Any]) -> float | None:
    """Root mean square distance from the optimum, as a share of the searched ranges; None where none is known."""
    if bench.name != "known":
        return None
    found, best = (bench.space.to_unit(values) for values in (parameters, OPTIMUM))
    return float((found - best).square().mean().sqrt())
