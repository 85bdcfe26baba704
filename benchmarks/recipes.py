"""Every shipped recipe, run as it ships and checked on pictures and by metrics that its search did not use.

    PIXELPERFECT_DATA=... python benchmarks/recipes.py [--work DIR] [--only NAME ...]

Writes docs/recipes.md and docs/recipes.json. A recipe that is finished in DIR is not run again. The held-out pictures
are photos of ``photos/test`` (Kodak and CID22), prepared as the recipe's own pictures were; PolyU scenes that no
picture of the run belongs to; for a recipe on one RAW file the parts of it outside the crop that the search saw.
Ends with 1 when a recipe took longer than five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from denoise_real import scene
from recipe_tables import LIMIT_S, OTHERS, TEACHERS, document

import pipelines
from pipelines import Parameter, Pipeline
from pipelines.inputs import PICTURES, centre_box
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.classical import classical_metrics
from pixelperfect_models.images import list_images, read_array, read_image, write_image
from tuner import load_recipe
from tuner.recipe import Recipe

ROOT = Path(__file__).parents[1]
RECIPES, DOCS = ROOT / "recipes", ROOT / "docs"


@dataclass(frozen=True)
class HeldOut:
    """One picture to check on. ``box``: (top, left, height, width) of the part that is looked at; None: all of it."""

    input: Path
    reference: Path
    box: tuple[int, int, int, int] | None = None


def photos(data: Path) -> list[Path]:
    """Ten photos of the test folders, evenly spread over them."""
    return [*list_images(data / "photos/test/kodak")[::4], *list_images(data / "photos/test/cid22")[::5]][:10]


def same_file(data: Path, work: Path, recipe: Recipe) -> list[HeldOut]:
    """The photo itself is the reference: codecs, and what is simulated from a photo by the pipeline's own input."""
    return [HeldOut(path, path) for path in photos(data)]


def simulated_noise(data: Path, work: Path, recipe: Recipe) -> list[HeldOut]:
    """High-ISO shots of the photos, simulated as recipes/photos/make_noisy.py does it."""
    sys.path.insert(0, str(RECIPES / "photos"))
    from make_noisy import SHOTS, shoot

    levels = [(photons, read) for _, _, photons, read in SHOTS.values()]
    found = []
    for index, path in enumerate(photos(data)):
        noisy, clean = (work / "held_out" / kind / f"{path.stem}.png" for kind in ("noisy", "clean"))
        photo, (photons, read) = read_array(path), levels[index % len(levels)]
        write_image(noisy, shoot(photo, photons, read, np.random.default_rng(100 + index)))
        write_image(clean, shoot(photo, photons, read, None))
        found.append(HeldOut(noisy, clean))
    return found


def other_scenes(data: Path, work: Path, recipe: Recipe) -> list[HeldOut]:
    """PolyU crops of scenes that the search did not see."""
    seen = {scene(Path(pair.input)) for pair in recipe.pairs}
    folder = data / "real_noise/polyu"
    return [
        HeldOut(path, folder / "clean" / path.name) for path in list_images(folder / "noisy") if scene(path) not in seen
    ]


def outside_the_crop(data: Path, work: Path, recipe: Recipe) -> list[HeldOut]:
    """What lies left and right of the centre crop that the search saw, full height."""
    pair = recipe.pairs[0]
    assert pair.reference is not None
    height, width = read_array(pair.reference).shape[:2]
    _, left, _, columns = centre_box(height, width, recipe.images.crop, align=2)
    right = left + columns
    strips = ((0, left - left % 2), (right + right % 2, (width - right) // 2 * 2))
    return [HeldOut(pair.input, pair.reference, (0, start, height // 2 * 2, span)) for start, span in strips]


HELD_OUT: dict[str, Callable[[Path, Path, Recipe], Sequence[HeldOut]]] = {
    "denoise": simulated_noise,
    "denoise_blind": other_scenes,
    "denoise_real": other_scenes,
    "train_denoiser": simulated_noise,
    "match_look": outside_the_crop,
    "external_dcraw_emu": outside_the_crop,
    "external_rawtherapee": outside_the_crop,
}
"""How a recipe's held-out pictures are made; :func:`same_file` for those not named."""


RATE: dict[str, tuple[str, ...]] = {
    "codec_pareto": ("quality",),
    "external_avifenc": ("quantizer",),
    "external_cjpeg": ("quality", "chroma"),
    "external_cjxl": ("distance",),
    "external_cwebp": ("quality",),
    "jpeg_tables": ("quality",),
}
"""The parameters by which a codec takes more or fewer bits, moved together: codecs are compared at equal bits."""
_HALVINGS = 7


def run_recipe(recipe: Path, folder: Path) -> float:
    """Run a recipe by the command line into ``folder``, unless it is there already; wall seconds."""
    seconds = folder / "seconds.json"
    if seconds.is_file():
        return float(json.loads(seconds.read_text(encoding="utf-8")))
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    command = [sys.executable, "-m", "tuner", "run", str(recipe), "--out", str(folder), "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    if done.returncode != 0:
        raise UserError(f"{recipe}: tuner run ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    taken = time.perf_counter() - start
    seconds.write_text(json.dumps(taken), encoding="utf-8")
    return taken


@torch.no_grad()
def measure(pipeline: Pipeline, parameters: dict[str, Any], held_out: Sequence[HeldOut], seed: int) -> dict[str, float]:
    """Means over the held-out pictures: the metrics, and the measures that the pipeline reports."""
    rows: list[dict[str, float]] = []
    for each in held_out:
        given, reference = pipeline.input.read(each.input), read_image(each.reference)
        if each.box is not None:
            given, reference = pipeline.input.crop(given, *each.box), PICTURES.crop(reference, *each.box)
        torch.manual_seed(seed)
        output = pipeline.run(given, parameters)
        found = classical_metrics(output.image, reference, TEACHERS + OTHERS)
        measures = {name: float(value) for name, value in output.measures.items()}
        rows.append({name: float(values[0]) for name, values in found.items()} | measures)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def at_equal_bits(
    pipeline: Pipeline,
    start: dict[str, Any],
    knobs: Sequence[str],
    bits: float,
    held_out: Sequence[HeldOut],
    seed: int,
) -> dict[str, float]:
    """What the defaults measure with their rate moved until the held-out pictures take ``bits`` a pixel on average.

    By halving; between the two settings that are left, linearly in the bits.

    Raises:
        UserError: no setting of the rate takes so few or so many.
    """
    ranges = [pipeline.parameters[name] for name in knobs]

    def moved(share: float) -> dict[str, Any]:
        values = {}
        for name, one in zip(knobs, ranges, strict=True):
            assert isinstance(one, Parameter)
            value = one.low * (one.high / one.low) ** share if one.log else one.low + share * (one.high - one.low)
            values[name] = round(value) if one.integer else value
        return {**start, **values}

    def at(share: float) -> dict[str, float]:
        return measure(pipeline, moved(share), held_out, seed)

    ends = [(0.0, at(0.0)), (1.0, at(1.0))]
    few, many = sorted(ends, key=lambda end: end[1]["bits_per_pixel"])
    if not few[1]["bits_per_pixel"] <= bits <= many[1]["bits_per_pixel"]:
        raise UserError(f"{', '.join(knobs)}: no setting takes {bits:.3f} bits a pixel")
    for _ in range(_HALVINGS):
        share = (few[0] + many[0]) / 2
        if moved(share) in (moved(few[0]), moved(many[0])):
            break
        row = at(share)
        few, many = ((share, row), many) if row["bits_per_pixel"] <= bits else (few, (share, row))
    low, high = few[1]["bits_per_pixel"], many[1]["bits_per_pixel"]
    weight = (bits - low) / (high - low) if high > low else 0.0
    return {name: (1 - weight) * few[1][name] + weight * many[1][name] for name in few[1]}


def tuned(folder: Path, result: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Value and parameters to compare the start with: the run's best; of a front the best that is no worse than the
    start in any other objective, since the best of all only takes the most bytes."""
    file = folder / "pareto.json"
    if not file.is_file():
        best = yaml.safe_load((folder / "best_parameters.yaml").read_text(encoding="utf-8"))
        return result["best"]["value"], best
    record = json.loads(file.read_text(encoding="utf-8"))
    measures = [(each["name"], 1 if each["goal"] == "maximize" else -1) for each in record["objectives"][1:]]
    bounds = result["start"]["measures"]
    front = [row for row in record["front"] if all(s * (row["measures"][m] - bounds[m]) >= 0 for m, s in measures)]
    if not front:
        raise UserError(
            f"{file}: no setting on the front is as good as the start in {', '.join(m for m, _ in measures)}"
        )
    return front[0]["value"], front[0]["parameters"]  # the best value comes first


def check(recipe_file: Path, work: Path, data: Path) -> dict[str, Any]:
    """One row of the table."""
    folder = work / recipe_file.stem
    seconds = run_recipe(recipe_file, folder)
    recipe = load_recipe(folder / "recipe.yaml")
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    value, best = tuned(folder, result)
    pipeline = pipelines.load(recipe.pipeline.name, recipe.pipeline.options)
    held_out = HELD_OUT.get(recipe_file.stem, same_file)(data, folder, recipe)
    start, seed = result["start"]["parameters"], recipe.search.seed
    best_row = measure(pipeline, best, held_out, seed)
    knobs = RATE.get(recipe_file.stem)
    if knobs is None:
        start_row = measure(pipeline, start, held_out, seed)
    else:
        start = {name: one.default for name, one in pipeline.parameters.items()}  # what an engineer has without tuning
        start_row = at_equal_bits(pipeline, start, knobs, best_row["bits_per_pixel"], held_out, seed)
    return {
        "pipeline": pipeline.name,
        "trials": result["trials"],
        "seconds": seconds,
        "value": [result["start"]["value"], value],
        "held_out": len(held_out),
        "start": start_row,
        "best": best_row,
        "equal_bits": knobs is not None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/recipes"), help="folder of the runs")
    parser.add_argument("--only", nargs="*", help="names of recipes, without .yaml")
    options = parser.parse_args()
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds photos/")
    tune_allocator()
    late: list[str] = []
    kept = DOCS / "recipes.json"
    rows: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for name in options.only or sorted(path.stem for path in RECIPES.glob("*.yaml")):
        recipe = RECIPES / f"{name}.yaml"
        if not recipe.is_file():
            raise UserError(f"{recipe}: no such recipe")
        try:
            rows[name] = check(recipe, options.work.absolute(), Path(os.environ["PIXELPERFECT_DATA"]))
        except UserError as error:  # a program that is not installed, say: the other rows are still worth having
            print(f"{name}: {error}", file=sys.stderr)
            continue
        rows = dict(sorted(rows.items()))
        kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        (DOCS / "recipes.md").write_text(document(rows), encoding="utf-8")
        taken = f"{name} {rows[name]['seconds']:.0f} s"
        print(taken, flush=True)
        if rows[name]["seconds"] > LIMIT_S:
            late.append(taken)
    if late:
        sys.exit(f"late, more than {LIMIT_S:.0f} s: {', '.join(late)}")


if __name__ == "__main__":
    main()
