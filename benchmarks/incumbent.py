"""Tuning that never sees the truth beside tuning that does, both judged against the truth afterwards.

    PIXELPERFECT_DATA=... python benchmarks/incumbent.py [--work DIR] [--seeds N] [--trials N] [--crop N] [--anchors N]

Writes docs/incumbent_figures.md. The same denoisers, sampler and number of trials on the same noisy pictures: once with
the judge's difference from the clean pictures, once with ``reference: rehearsal`` and, of the first denoiser, once with
``incumbent``, where no clean picture is read. A finished search in DIR is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from denoise_real import scene

import pipelines
from pipelines.sensor_shot import shoot
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.classical import METRICS, classical_metrics
from pixelperfect_models.images import list_images, read_array, write_image
from pixelperfect_models.judge import PixelPerfect
from tuner import load_recipe, run
from tuner.pictures import read_pictures

ROOT = Path(__file__).parents[1]
SHARPENING: dict[str, dict[str, Any]] = {"sharpen_amount": {}, "sharpen_sigma": {}}
# Rehearsal makes its stand-in by non-local means, too: the second is of another kind.
PIPELINES: dict[str, dict[str, dict[str, Any]]] = {
    "denoise.nlm_opencv": {"h": {}, "h_color": {}, **SHARPENING},
    "denoise.wavelet": {"threshold": {}, "chroma_threshold": {}, **SHARPENING},
}
NAMES = ("vsi", "mdsi", "haarpsi", "psnr")
# Luma and chroma noise, blur, detail loss, oversharpening. How the two were found: docs/experiments.md.
CHANNELS = ("luma_noise", "chroma_noise", "blur", "detail_loss", "oversharpening")
WEIGHTS = {"mild on noise": (1.0, 1.0, 0.5, 1.0, 6.0), "hard on noise": (3.0, 3.0, 0.0, 0.5, 4.0)}


def real(data: Path, work: Path) -> tuple[list[Path], list[Path]]:
    """Three PolyU crops of different scenes: real camera noise."""
    return _polyu(data, lambda scenes: scenes[1 :: max(1, len(scenes) // 3)][:3])


def real_others(data: Path, work: Path) -> tuple[list[Path], list[Path]]:
    """Six of other scenes, which nobody looked at while rehearsal was made."""
    return _polyu(data, lambda scenes: [*scenes[5 :: max(1, len(scenes) // 3)], *scenes[8 :: max(1, len(scenes) // 3)]])


def _polyu(data: Path, choose: Callable[[list[Path]], list[Path]]) -> tuple[list[Path], list[Path]]:
    """Chosen from the first crops of all scenes, and their clean counterparts."""
    scenes: dict[str, Path] = {}
    for path in list_images(data / "real_noise/polyu/noisy"):
        scenes.setdefault(scene(path), path)
    noisy = choose(list(scenes.values()))
    return noisy, [path.parents[1] / "clean" / path.name for path in noisy]


def synthetic(data: Path, work: Path) -> tuple[list[Path], list[Path]]:
    """Three Kodak photos as simulated high-ISO shots, noisier than those of recipes/photos."""
    return _shot(list_images(data / "photos/test/kodak")[1::8][:3], 80.0, 0.02, work)


def synthetic_others(data: Path, work: Path) -> tuple[list[Path], list[Path]]:
    """Six photos of CID22's validation part, less noisy, which nobody looked at while rehearsal was made."""
    return _shot(list_images(data / "photos/test/cid22")[2::3][:6], 300.0, 0.01, work)


def _shot(photos: Sequence[Path], photons: float, read_noise: float, work: Path) -> tuple[list[Path], list[Path]]:
    noisy, clean = [], []
    for index, path in enumerate(photos):
        photo = read_array(path)
        top, left = (side // 2 - 160 for side in photo.shape[:2])
        photo = photo[top : top + 320, left : left + 320]
        noisy.append(work / "noisy" / f"{path.stem}.png")
        clean.append(work / "clean" / f"{path.stem}.png")
        write_image(noisy[-1], shoot(photo, photons, read_noise, np.random.default_rng(index)))
        write_image(clean[-1], shoot(photo, photons, read_noise, None))
    return noisy, clean


SETS = {
    "real noise (PolyU)": real,
    "other real noise (PolyU)": real_others,
    "synthetic noise": synthetic,
    "other synthetic noise": synthetic_others,
}


def search(work: Path, name: str, pipeline: str, sections: dict[str, Any], judge: PixelPerfect) -> dict[str, Any]:
    """The result.json of one search, run unless it is there."""
    folder = work / name
    kept = folder / "result.json"
    if not kept.is_file() or json.loads(kept.read_text(encoding="utf-8"))["interrupted"]:
        recipe = {"name": name, "pipeline": {"name": pipeline, "search": PIPELINES[pipeline]}, **sections}
        run(load_recipe(recipe, folder=work), folder, resume=folder.exists(), quiet=True, judge=judge)
    return json.loads(kept.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@torch.no_grad()
def against_truth(
    name: str, parameters: dict[str, Any], images: dict[str, Any], judge: PixelPerfect
) -> dict[str, float]:
    """Means over the pictures of the judge's difference from the clean picture and of the metrics."""
    recipe = {"pipeline": {"name": name, "search": PIPELINES[name]}, "images": images}
    pipeline = pipelines.load(name)
    rows = []
    for picture in read_pictures(load_recipe(recipe, folder=ROOT)):
        assert picture.reference is not None
        output = pipeline(picture.image, parameters)
        found = classical_metrics(output, picture.reference, NAMES)
        difference = float(judge.difference(output, picture.reference)[0])
        rows.append({"difference": difference} | {name: float(found[name][0]) for name in NAMES})
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def table(rows: dict[str, list[dict[str, float]]]) -> list[str]:
    """One row for each kind of parameters: medians over the seeds, and how far these lie apart."""
    signs = {"difference": -1} | {name: METRICS[name][1] for name in NAMES}
    median = {
        kind: {name: float(np.median([row[name] for row in found])) for name in signs} for kind, found in rows.items()
    }
    lines = [
        "| parameters | judge's difference (lower) | VSI | MDSI (lower) | HaarPSI | PSNR |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind, found in rows.items():
        spread = [max(row[name] for row in found) - min(row[name] for row in found) for name in signs]
        digits = (4, 4, 4, 4, 2)
        cells = [
            f"{median[kind][name]:.{d}f}" + (f" ({s:.{d}f})" if len(found) > 1 else "")
            for name, s, d in zip(signs, spread, digits, strict=True)
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/incumbent"), help="folder of the searches")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--anchors", type=int, default=3)
    options = parser.parse_args(arguments)
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds real_noise/")
    tune_allocator()
    judge = PixelPerfect.from_pretrained()
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    text = [
        "# Figures of tuning without a truth",
        "",
        f"    python benchmarks/incumbent.py --seeds {options.seeds} --trials {options.trials} --crop {options.crop} "
        f"--anchors {options.anchors}",
        "",
        f"Four parameters, sampler tpe, {options.trials} trials; medians over {options.seeds} seeds, in "
        "brackets largest less smallest. Measured against the clean pictures, which the search without does not read. "
        f"Penalties without, weights of {', '.join(CHANNELS)}: "
        + "; ".join(f"{minded} {', '.join(f'{w:g}' for w in weights)}" for minded, weights in WEIGHTS.items())
        + ".",
        "",
    ]
    for kind, find in SETS.items():
        noisy, clean = ([str(path) for path in paths] for paths in find(Path(os.environ["PIXELPERFECT_DATA"]), work))
        pictures = {"input": noisy, "crop": options.crop}
        seen, rehearsed = ({**pictures, "reference": reference} for reference in (clean, "rehearsal"))
        unseen = {**pictures, "reference": "incumbent", "anchors": options.anchors}
        for pipeline in PIPELINES:
            ways: dict[str, dict[str, Any]] = {
                "tuned with the truth": {"images": seen, "objective": {"score": {"kind": "difference"}}},
                "tuned by rehearsal": {"images": rehearsed, "objective": {"score": {"kind": "difference"}}},
            }
            for minded, weights in WEIGHTS.items() if pipeline == next(iter(PIPELINES)) else ():
                terms = [{"type": k, "weight": w} for k, w in zip(CHANNELS, weights, strict=True) if w]
                ways[f"tuned by the incumbent, {minded}"] = {
                    "images": unseen,
                    "objective": {"score": {"weight": 0.0}, "penalties": terms},
                }
            rows: dict[str, list[dict[str, float]]] = {"defaults": [against_truth(pipeline, {}, seen, judge)]}
            for way, seed in product(ways, range(options.seeds)):
                spec = {"strategy": "optuna", "sampler": "tpe", "trials": options.trials, "seed": seed}
                tag = f"{options.trials}-{options.crop}-{options.anchors}"
                name = "-".join(f"{kind} {pipeline} {way} {seed} {tag}".replace(",", "").split())
                result = search(work, name, pipeline, {**ways[way], "search": spec}, judge)
                rows.setdefault(way, []).append(against_truth(pipeline, result["best"]["parameters"], seen, judge))
                print(name, result["best"]["parameters"], rows[way][-1], flush=True)
            text += [f"## {kind[0].upper()}{kind[1:]}, {len(noisy)} pictures, `{pipeline}`", "", *table(rows), ""]
    (ROOT / "docs/incumbent_figures.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
