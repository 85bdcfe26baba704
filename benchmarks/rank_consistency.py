"""Does the judge contradict itself when it ranks real outputs of several algorithms, and who agrees with it?

    PIXELPERFECT_DATA=... python benchmarks/rank_consistency.py [--weights DIR] [--contents 2]

Every picture gets all built-in denoisers at two settings each (PolyU camera noise, Kodak photos with scikit-image
noise), or six codecs at three qualities each. All pairs of outputs are scored, as `tuner rank` does without a
reference: how many triples are cyclic, and how does the order found agree with the score against the clean reference,
and with VSI and MDSI against the reference? The reference takes no part in the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.util import random_noise

from pipelines import Parameter, available, load
from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.classical import METRICS, classical_metrics
from pixelperfect_models.evaluation.consistency import cyclic_triples, order_agreement, pair_agreement
from pixelperfect_models.evaluation.foreign import FOREIGN
from pixelperfect_models.evaluation.map_reality import middle, real_noise_pairs
from pixelperfect_models.images import list_images, read_array, to_tensor
from tuner.rank import pair_scores, rank_pairs

SIDE = 192
CODECS = (
    "pillow_jpeg",
    "opencv_jpeg",
    "pillow_webp",
    "pillow_avif",
    "pillow_jpeg2000",
    "pywavelets_coding",
)
CODEC_LEVELS = (1, 3, 5)


def denoised(noisy: np.ndarray) -> dict[str, torch.Tensor]:
    """The noisy picture and every ``denoise.*`` pipeline at its default and at a stronger setting, by name."""
    outputs = {"input": to_tensor(noisy)}
    for name in available():
        if not name.startswith("denoise."):
            continue
        pipeline = load(name)
        key, first = next((key, one) for key, one in pipeline.parameters.items() if isinstance(one, Parameter))
        # Halfway from the default to the upper bound, on the parameter's own scale: strong, but not absurd.
        stronger = float(np.sqrt(first.default * first.high)) if first.log else (first.default + first.high) / 2
        settings = {"default": {}, "strong": {key: round(stronger) if first.integer else stronger}}
        for label, parameters in settings.items():
            with torch.no_grad():
                outputs[f"{name} {label}"] = pipeline(to_tensor(noisy), parameters)
    return {name: image.clamp(0, 1) for name, image in outputs.items()}


def coded(clean: np.ndarray, seed: int) -> dict[str, torch.Tensor]:
    """Six codecs at three qualities, by name."""
    return {
        f"{name} {level}": to_tensor(FOREIGN[name](clean, level, np.random.default_rng(seed)))
        for name in CODECS
        for level in CODEC_LEVELS
    }


def contents(data: Path, count: int) -> list[tuple[str, dict[str, torch.Tensor], torch.Tensor]]:
    """``count`` pictures of each of three kinds: (kind, outputs by name, clean reference)."""
    rows = []
    for noisy, clean in real_noise_pairs(data / "real_noise/polyu", SIDE, count):
        rows.append(("denoisers, PolyU camera noise", denoised(noisy), to_tensor(clean)))
    photos = list_images(data / "photos/test/kodak")
    for number, place in enumerate(np.linspace(0, len(photos) - 1, 2 * count).round().astype(int)):
        clean = middle(read_array(photos[place]), SIDE)
        if number % 2 == 0:
            noisy = random_noise(clean, "gaussian", rng=number, var=0.05**2).astype(np.float32)
            rows.append(("denoisers, Kodak with scikit-image noise", denoised(noisy), to_tensor(clean)))
        else:
            rows.append(("codecs, Kodak", coded(clean, number), to_tensor(clean)))
    return rows


def measure(judge: PixelPerfect, data: Path, count: int) -> dict[str, Any]:
    """Cyclic triples and agreement for every kind of content, and over all."""
    kinds: dict[str, dict[str, Any]] = {}
    for kind, outputs, clean in contents(data, count):
        names, tensors = list(outputs), list(outputs.values())
        table = pair_scores(tensors, judge)
        cycles, triples = cyclic_triples(table)
        place = {row.name: row.strength for row in rank_pairs(names, table).rows}
        strength = [place[name] for name in names]
        with torch.no_grad():
            state = judge.prepare(clean)
            scored = [float(judge.score(image, state)[0]) for image in tensors]
        metrics = {}
        for name in ("vsi", "mdsi"):
            found = [classical_metrics(image, clean, (name,))[name][0] for image in tensors]
            metrics[name] = [METRICS[name][1] * value for value in found]
        row = kinds.setdefault(kind, {"pictures": 0, "outputs": len(names), "cycles": 0, "triples": 0, "agreement": []})
        row["pictures"] += 1
        row["cycles"] += cycles
        row["triples"] += triples
        row["agreement"].append({
            "score_with_reference": order_agreement(strength, scored),
            "pairs_as_with_reference": pair_agreement(table, scored),
            "vsi": order_agreement(strength, metrics["vsi"]),
            "mdsi": order_agreement(strength, metrics["mdsi"]),
            "score_vsi": order_agreement(scored, metrics["vsi"]),
            "vsi_mdsi": order_agreement(metrics["vsi"], metrics["mdsi"]),
        })  # fmt: skip
    for row in kinds.values():
        row["agreement"] = {key: float(np.mean([one[key] for one in row["agreement"]])) for key in row["agreement"][0]}
        row["share"] = row["cycles"] / row["triples"]
    cycles, triples = (sum(row[key] for row in kinds.values()) for key in ("cycles", "triples"))
    return {"kinds": kinds, "cycles": cycles, "triples": triples, "share": cycles / triples, "side": SIDE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder of the weights; the shipped ones by default")
    parser.add_argument("--contents", type=int, default=2, help="pictures of each kind")
    options = parser.parse_args()
    tune_allocator()
    judge = PixelPerfect.from_pretrained(options.weights)
    print(json.dumps(measure(judge, Path(os.environ["PIXELPERFECT_DATA"]), options.contents), indent=1))


if __name__ == "__main__":
    main()
