"""A tiny training through the shared loop, to be started with one or two processes: two_processes.py FOLDER DEVICES."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import Dataset

from pixelperfect_models.networks import build_distortion_network
from pixelperfect_models.training.config import Schedule
from pixelperfect_models.training.loop import fit, make_fabric

ITEMS_A_STEP, STEPS = 4, 2


class Seeded(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """``[i]`` -> two pictures (3, 32, 32) made of ``i`` alone; each index asked for is written to ``log``."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __len__(self) -> int:
        return ITEMS_A_STEP * STEPS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"{index}\n")
        generator = torch.Generator().manual_seed(index)
        test, ref = torch.rand(2, 3, 32, 32, generator=generator)
        # Dark and bright ones: were all as bright as the network's first answer, there would be nothing to learn.
        return test * torch.rand((), generator=generator), ref


def train(folder: Path, devices: int) -> None:
    """Train two steps of four items each; the checkpoint is written to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric("32-true", devices, "ddp" if devices > 1 else "auto", "cpu")
    torch.manual_seed(0)
    network = build_distortion_network(
        {"kind": "compact", "widths": [4, 6], "blocks": [1]},
        {"kind": "pyramid", "width": 6, "trunk": [6, 6], "blocks": [1, 0]},
    )

    def step(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        test, ref = batch
        return {"loss": (model(test, ref) - test.mean((1, 2, 3), keepdim=True)).square().mean()}

    schedule = Schedule(crop=32, batch=ITEMS_A_STEP // devices, steps=STEPS)
    log = folder / f"items_{fabric.global_rank}.txt"
    fit(fabric, network, Seeded(log), step, schedule, folder, resume=False, title="toy", console=Console(quiet=True))


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]))
