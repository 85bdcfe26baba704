"""Learned JPEG tables against the standard's at equal looks, on photos that the search did not see.

    tuner run recipes/jpeg_tables.yaml --out runs/jpeg_tables
    PIXELPERFECT_DATA=... python benchmarks/jpeg_tables.py --run runs/jpeg_tables
    PIXELPERFECT_DATA=... python benchmarks/jpeg_tables.py --calibrate

Both are scaled to many rates (libjpeg's quality), coded by libjpeg with 4:2:0 and optimised Huffman codes. For every
photo and metric: the bytes that each needs for the same value, interpolated in log(bytes) over the range both reach,
and the mean difference (Bjontegaard's). All photos of the test folders count; ``--every`` is for a quick look.
``--calibrate`` fits the rate estimate's coefficients on training photos.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.interpolate import PchipInterpolator
from scipy.stats import spearmanr

import pipelines
from pipelines.compression.base import coded
from pipelines.compression.jpeg_rate import rate_features
from pipelines.compression.jpeg_tables import JpegTables, save_options
from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.classical import METRICS, TITLES, classical_metrics
from pixelperfect_models.images import list_images, read_image

DOCS = Path(__file__).parents[1] / "docs"
QUALITIES = (35, 45, 55, 65, 75, 82, 88)
NAMES = ("mdsi", "vsi", "haarpsi", "psnr", "ssim")
FOLDERS = {"kodak": "Kodak", "cid22": "CID22"}


def tables_of(pipeline: JpegTables, parameters: dict[str, float]) -> tuple[torch.Tensor, torch.Tensor]:
    values = {key: torch.as_tensor(float(value)) for key, value in pipeline.resolve(parameters).items()}
    return pipeline.tables(values.pop("quality"), values.pop("luma_tilt"), values)


@torch.no_grad()
def curve(
    pipeline: JpegTables, parameters: dict[str, float], photo: torch.Tensor, judge: Any, state: Any
) -> list[dict]:
    """Bytes and every metric (larger is better) at each quality."""
    points = []
    for quality in QUALITIES:
        output = coded(photo, "JPEG", save_options(*tables_of(pipeline, {**parameters, "quality": quality})))
        found = classical_metrics(output.image, photo, NAMES)
        point = {name: METRICS[name][1] * float(found[name][0]) for name in NAMES}
        apart = float(judge.difference(output.image, state)[0])
        points.append({**point, "judge": -apart, "bytes": float(output.measures["bytes"])})
    return points


def saving(standard: list[dict], learned: list[dict], metric: str) -> float:
    """Share of bytes saved at equal ``metric``: mean over the range of values that both curves reach."""
    curves = []
    for points in (standard, learned):
        values, logs = (np.array([point[key] for point in points]) for key in (metric, "bytes"))
        order = np.argsort(values)
        values = values[order] + 1e-9 * np.arange(len(values))
        curves.append((values, PchipInterpolator(values, np.log(logs[order]))))
    low, high = max(v[0] for v, _ in curves), min(v[-1] for v, _ in curves)
    at = np.linspace(low, high, 50)
    return float(1.0 - np.exp(np.mean(curves[1][1](at) - curves[0][1](at))))


def compare(run: Path, data: Path, every: int = 1) -> None:
    pipeline = pipelines.load("compression.jpeg_tables")
    assert isinstance(pipeline, JpegTables)
    best = yaml.safe_load((run / "best_parameters.yaml").read_text(encoding="utf-8"))
    judge = PixelPerfect.from_pretrained()
    metrics = ("judge", *NAMES)
    savings: dict[str, dict[str, list[float]]] = {folder: {name: [] for name in metrics} for folder in FOLDERS}
    for folder, kept in savings.items():
        for path in list_images(data / "photos/test" / folder)[::every]:
            photo = read_image(path)
            with torch.no_grad():
                state = judge.prepare(photo)
            standard = curve(pipeline, {}, photo, judge, state)
            learned = curve(pipeline, best, photo, judge, state)
            for name in metrics:
                kept[name].append(saving(standard, learned, name))
            print(folder, path.stem, {name: round(found[-1], 3) for name, found in kept.items()}, flush=True)
    luma, chroma = (table.round().int().tolist() for table in tables_of(pipeline, best))
    result = {
        "photos": {folder: len(kept["judge"]) for folder, kept in savings.items()},
        "every": every,
        "parameters": best,
        "luma": luma,
        "chroma": chroma,
        "saving": savings,
    }
    (DOCS / "jpeg_tables.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (DOCS / "jpeg_tables.md").write_text(document(result), encoding="utf-8")
    print(document(result))


def document(result: dict[str, Any]) -> str:
    command = "    python benchmarks/jpeg_tables.py --run runs/jpeg_tables"
    total = sum(result["photos"].values())
    counts = ", ".join(f"{count} of {FOLDERS[folder]}" for folder, count in result["photos"].items())
    lines = [
        "# Learned JPEG tables",
        "",
        "    tuner run recipes/jpeg_tables.yaml --out runs/jpeg_tables",
        command + (f" --every {result['every']}" if result["every"] > 1 else ""),
        "",
        f"Bytes saved against the standard's tables at equal values of each metric, on the {total} photos of the test",
        f"folders ({counts}), none of which the search saw. Both tables scaled over",
        f"libjpeg's qualities {QUALITIES[0]} to {QUALITIES[-1]}, 4:2:0, optimised Huffman codes. In brackets twice the",
        "standard error of the mean.",
        "",
        f"| at equal | bytes saved | {' | '.join(FOLDERS[name] for name in result['photos'])} | photos with a saving |",
        "|---|---|" + "---|" * len(result["photos"]) + "---|",
    ]
    for name in result["saving"]["kodak"]:
        parts = {folder: np.array(kept[name]) for folder, kept in result["saving"].items()}
        every = np.concatenate(list(parts.values()))
        error = 2.0 * every.std(ddof=1) / np.sqrt(len(every)) if len(every) > 1 else float("nan")
        cells = " | ".join(f"{part.mean():.1%}" for part in parts.values())
        title = TITLES.get(name, name)
        lines.append(f"| {title} | {every.mean():.1%} (± {error:.1%}) | {cells} | {np.mean(every > 0):.0%} |")
    for name in ("luma", "chroma"):
        lines += ["", f"Learned {name} table at the run's own quality:", ""]
        lines += ["    " + " ".join(f"{step:3d}" for step in row) for row in result[name]]
    return "\n".join(lines) + "\n"


@torch.no_grad()
def calibrate(data: Path) -> None:
    pipeline = JpegTables()
    rng = np.random.default_rng(0)
    rows, bits = [], []
    for path in list_images(data / "photos/train/cid22")[::6]:
        photo = read_image(path)
        for _ in range(4):
            values = {
                name: float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
                for name in pipeline.parameters
                if name != "quality"
            }
            luma, chroma = tables_of(pipeline, {**values, "quality": float(rng.uniform(30, 92))})
            rows.append([float(feature) for feature in rate_features(photo, luma, chroma)])
            bits.append(float(coded(photo, "JPEG", save_options(luma, chroma)).measures["bits_per_pixel"]))
    features, truth = np.array(rows), np.array(bits)
    # Relative error counts: small files matter as much as large ones.
    found, *_ = np.linalg.lstsq(features / truth[:, None], np.ones(len(truth)), rcond=None)
    estimate = features @ found
    print("COEFFICIENTS =", tuple(round(float(value), 4) for value in found))
    print(f"{len(truth)} files: mean error {np.mean(np.abs(estimate / truth - 1)):.1%}, SRCC", end=" ")
    print(f"{spearmanr(estimate, truth).statistic:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a run of recipes/jpeg_tables.yaml")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--every", type=int, default=1, help="take every so many photos of the test folders")
    options = parser.parse_args()
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds photos/")
    tune_allocator()
    data = Path(os.environ["PIXELPERFECT_DATA"])
    if options.calibrate:
        calibrate(data)
    if options.run:
        compare(options.run, data, options.every)


if __name__ == "__main__":
    main()
