"""A denoiser trained by L1 alone against the same one trained by L1 and the judge, in equal training time.

    PIXELPERFECT_DATA=... python benchmarks/perceptual_training.py [--work DIR] [--seconds 60] [--seeds 0 1]

Writes docs/perceptual_training.json, docs/perceptual_training.md and the maps of both, docs/images/perceptual_*.webp.
A network that is finished in DIR is not trained again.

*Equal time*: each network has the same seconds of processor time (one thread) for everything its training takes,
crops, noise and the judge among them; the learning rate falls with that time. All networks of a seed are trained in
turns in one process, so that what else the machine does slows all of them alike. They begin with the same weights and
see the same crops and noise, step for step; who is faster sees more of them.

*Pictures*: training sees CID22's training photos; Kodak and CID22's validation photos, never trained on nor chosen by,
judge the result. Noise is simulated (pipelines/sensor_shot.py), the same for all. The judge's weight was not searched:
at 0.01 its gradient in the picture is about as long as that of the L1 term at the noisy input.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from perceptual_training_text import document
from PIL import Image
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from pipelines.inputs import centre_box
from pipelines.networks import SmallResidualDenoiser
from pipelines.sensor_shot import shoot
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.classical import classical_metrics
from pixelperfect_models.images import list_images, read_array, to_array, to_tensor
from pixelperfect_models.judge import PixelPerfect
from pixelperfect_models.loss import PerceptualLoss
from pixelperfect_models.map_statistics import map_table
from pixelperfect_models.training.loop import make_fabric
from tuner.map_sheet import map_sheet
from tuner.search.network_trainer import Losses, Trainer
from tuner.search.train import Perceptual
from tuner.search.training_pairs import TrainingPairs

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, BLOCKS = 32, 4
CROP, BATCH, RATE = 64, 8, 0.002
PHOTONS, READ_NOISE = (150.0, 600.0), (0.006, 0.014)
SIDE = 256
"""The test pictures' centre crop, pixels."""
ASSUMED = ("vsi", "mdsi", "haarpsi", "psnr")
"""What the issue asks for. The judge's scoring network learned its order of pictures from these."""
SHOWN = 1
"""Which of the test pictures the maps are drawn of."""
UNSEEN = ("ssim", "gmsd", "fsim", "vif", "dss")
"""Metrics that nothing in the judge was trained with."""
ARMS = {"l1": (0.0, 1), "perceptual": (0.01, 2)}
"""Name to weight of the judge's term, and at every how many steps it is computed."""
SHORT = "l1_as_many_steps"
"""L1 alone, in as many steps as the judge's network had time for: what is left of a difference is not the time's."""


def train(seed: int, seconds: float, photos: Sequence[Path], work: Path) -> dict[str, int]:
    """Train the networks of all arms in turns; weights into ``work``, steps made by arm."""
    record = work / f"seed-{seed}.json"
    if record.is_file():
        return json.loads(record.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    torch.set_num_threads(1)
    pairs = TrainingPairs(photos, None, CROP, PHOTONS, READ_NOISE, seed)
    judge = PixelPerfect.from_pretrained()
    trainers = {name: _trainer(arm, seed, pairs, judge) for name, arm in ARMS.items()}
    spent = dict.fromkeys(ARMS, 0.0)
    shown = time.monotonic()
    while (name := min(spent, key=lambda each: spent[each])) and spent[name] < seconds:
        before = time.process_time()
        trainers[name].step(spent[name] / seconds)
        spent[name] += time.process_time() - before
        if time.monotonic() - shown > 60:
            print(f"seed {seed}: {spent[name]:.0f} of {seconds:.0f} s", flush=True)
            shown = time.monotonic()
    work.mkdir(parents=True, exist_ok=True)
    for name, trainer in trainers.items():
        save_model(trainer.network, str(_weights(work, name, seed)))
    steps = {name: trainer.done for name, trainer in trainers.items()}
    record.write_text(json.dumps(steps), encoding="utf-8")
    return steps


def train_short(seed: int, steps: int, photos: Sequence[Path], work: Path) -> None:
    """Train the network :data:`SHORT` unless it is there."""
    file = _weights(work, SHORT, seed)
    if file.is_file():
        return
    torch.set_num_threads(1)
    pairs = TrainingPairs(photos, None, CROP, PHOTONS, READ_NOISE, seed)
    trainer = _trainer((0.0, 1), seed, pairs, None)
    while trainer.done < steps:
        trainer.step(trainer.done / steps)
    save_model(trainer.network, str(file))


def _trainer(arm: tuple[float, int], seed: int, pairs: TrainingPairs, judge: PixelPerfect | None) -> Trainer:
    weight, every = arm
    torch.manual_seed(seed)
    network = SmallResidualDenoiser(WIDTH, BLOCKS)
    loss = Perceptual(PerceptualLoss(judge=judge), "cpu") if weight else None
    fabric = make_fabric("auto", devices=1, accelerator="cpu")
    return Trainer(network, pairs.batch, Losses(1.0, weight, every, loss), fabric, BATCH, RATE, seed)


def _network(file: Path) -> nn.Module:
    network = SmallResidualDenoiser(WIDTH, BLOCKS)
    load_model(network, file)
    return network.eval()


def _weights(work: Path, name: str, seed: int) -> Path:
    return work / f"{name}-{seed}.safetensors"


def shots(paths: Sequence[Path]) -> list[tuple[str, Tensor, Tensor]]:
    """(name, noisy, clean) of the centre of each photo, (1, 3, H, W) each, at noise spread over the trained range."""
    found = []
    for index, path in enumerate(paths):
        share = index * 0.618 % 1.0  # evenly spread, and not along with the order of the folders
        photons, read = (float(low * (high / low) ** share) for low, high in (PHOTONS, READ_NOISE[::-1]))
        photo = read_array(path)
        top, left, height, width = centre_box(*photo.shape[:2], SIDE, align=2)
        crop = photo[top : top + height, left : left + width]
        noisy = shoot(crop, photons, read, np.random.default_rng(1000 + index))
        clean = shoot(crop, photons, read, None)
        found.append((path.stem, to_tensor(noisy), to_tensor(clean)))
    return found


@torch.no_grad()
def measure(network: Callable[[Tensor], Tensor], pictures: Any, judge: PixelPerfect) -> dict[str, list[float]]:
    """Every metric of every picture's output, rounded to 8 bits as a file would be; the judge's own among them."""
    rows: dict[str, list[float]] = {}
    for _, noisy, clean in pictures:
        output = (network(noisy).clamp(0, 1) * 255).round() / 255
        found = {name: float(value[0]) for name, value in classical_metrics(output, clean, ASSUMED + UNSEEN).items()}
        reference = judge.prepare(clean)
        found["judge_difference"] = float(judge.difference(output, reference)[0])
        table = map_table(judge.maps(output, reference), judge.types)[0]
        found |= {f"map_{name}": table[name]["mean"] for name in ("luma_noise", "chroma_noise", "blur", "detail_loss")}
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return rows


@torch.no_grad()
def write_maps(networks: dict[str, nn.Module], picture: tuple[str, Tensor, Tensor], judge: PixelPerfect) -> None:
    """The map sheets of both networks on one test picture, and of the one against the other."""
    _, noisy, clean = picture
    outputs = {arm: network(noisy).clamp(0, 1) for arm, network in networks.items()}
    versions = [(arm, output, "clean", clean) for arm, output in outputs.items()]
    versions.append(("perceptual", outputs["perceptual"], "l1", outputs["l1"]))
    for arm, output, against, reference in versions:
        maps, score = judge.judge(output, reference)
        excess = (2.0 * maps[0] - 1.0).numpy()
        sheet = map_sheet(to_array(output), to_array(reference), excess, judge.types, float(score[0]), (arm, against))
        pixels = np.round(sheet * 255.0).astype(np.uint8)  # quality 70: for the page; write_image would take 95
        Image.fromarray(pixels).save(DOCS / "images" / f"perceptual_{arm}_against_{against}.webp", quality=70)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/perceptual_training"))
    parser.add_argument("--seconds", type=float, default=60.0, help="processor time for each network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--text", action="store_true", help="write page and pictures again from the figures there are")
    options = parser.parse_args()
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds photos/")
    tune_allocator()
    data = Path(os.environ["PIXELPERFECT_DATA"]) / "photos"
    photos = list_images(data / "train/cid22")[::2]
    tested = [*list_images(data / "test/kodak")[::3], *list_images(data / "test/cid22")[::3]]
    work = options.work / f"{options.seconds:g}"
    steps = {seed: train(seed, options.seconds, photos, work) for seed in options.seeds}
    for seed, made in steps.items():
        train_short(seed, made["perceptual"], photos, work)

    judge, pictures = PixelPerfect.from_pretrained(), shots(tested)
    networks = {(name, seed): _network(_weights(work, name, seed)) for name in (*ARMS, SHORT) for seed in options.seeds}
    figures = DOCS / "perceptual_training.json"
    if options.text:
        result = json.loads(figures.read_text(encoding="utf-8"))
    else:
        found: dict[str, Any] = {"noisy": [measure(lambda image: image, pictures, judge)]}
        for (name, _), network in networks.items():
            found.setdefault(name, []).append(measure(network, pictures, judge))
        result = {
            "seconds": options.seconds,
            "pictures": [name for name, _, _ in pictures],
            "steps": {name: [made[name] for made in steps.values()] for name in ARMS},
            "figures": found,
        }
        figures.write_text(json.dumps(result) + "\n", encoding="utf-8")
    parameters = sum(parameter.numel() for parameter in networks["l1", options.seeds[0]].parameters())
    head = {
        "command": "PIXELPERFECT_DATA=... python benchmarks/perceptual_training.py",
        "network": f"`SmallResidualDenoiser(width={WIDTH}, blocks={BLOCKS})`, {parameters} parameters",
    }
    page = document(result, ASSUMED, UNSEEN, head)
    (DOCS / "perceptual_training.md").write_text(page, encoding="utf-8")
    write_maps({name: networks[name, options.seeds[0]] for name in ARMS}, pictures[SHOWN], judge)


if __name__ == "__main__":
    main()
