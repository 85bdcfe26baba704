"""Several devices give what one gives with the whole batch: two gloo processes on the CPU stand in for two GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pixelperfect_models.networks import build_distortion_network
from pixelperfect_models.training.config import load_config
from pixelperfect_models.training.loop import CHECKPOINT, make_fabric
from tests.models.two_processes import ITEMS_A_STEP, STEPS, train

ROOT = Path(__file__).parents[2]


def items(folder: Path, rank: int) -> list[int]:
    return [int(line) for line in (folder / f"items_{rank}.txt").read_text().split()]


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_processes.py")), str(tmp_path / "two"), "2"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    train(tmp_path / "one", 1)
    shards = [items(tmp_path / "two", rank) for rank in (0, 1)]
    assert not set(shards[0]) & set(shards[1])
    # The same items in each step, whichever process renders them: a step's gradient is that of the whole batch.
    for step in range(STEPS):
        half = slice(step * ITEMS_A_STEP // 2, (step + 1) * ITEMS_A_STEP // 2)
        whole = items(tmp_path / "one", 0)[step * ITEMS_A_STEP : (step + 1) * ITEMS_A_STEP]
        assert sorted(shards[0][half] + shards[1][half]) == whole
    one, two = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("one", "two"))
    for ours, theirs in zip(one["optimizer"]["state"].values(), two["optimizer"]["state"].values(), strict=True):
        # Adam's running mean of the gradients, and of their squares.
        for key in ("exp_avg", "exp_avg_sq"):
            scale = float(ours[key].abs().max())
            assert torch.allclose(ours[key], theirs[key], rtol=1e-3, atol=1e-4 * scale + 1e-12)
    assert any(state["exp_avg"].abs().max() > 1e-5 for state in one["optimizer"]["state"].values())
    for part in ("network", "average"):
        for name, value in one[part].items():
            assert torch.allclose(value.float(), two[part][name].float(), atol=2e-4), name


@pytest.mark.parametrize("config", ["compact", pytest.param("swinv2", marks=pytest.mark.slow)])
def test_every_weight_gets_a_gradient(config: str) -> None:
    # Data-parallel training waits for the gradient of every weight, and stops at the second step without it.
    options = load_config(config).network
    network = build_distortion_network(options.encoder, options.decoder)
    test, ref = torch.rand(2, 1, 3, 64, 64)
    (network(test, ref) - 0.3).square().mean().backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_device_options_reach_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Recorded:
        def __init__(self, **options: Any) -> None:
            asked.update(options)

        def launch(self) -> None:
            asked["launched"] = True

    monkeypatch.setattr("pixelperfect_models.training.loop.Fabric", Recorded)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    make_fabric("auto")
    assert asked == {
        "accelerator": "auto",
        "devices": 4,
        "strategy": "auto",
        "precision": "bf16-mixed",
        "launched": True,
    }
    make_fabric("32-true", 2, "ddp", "cpu")
    assert (asked["devices"], asked["strategy"], asked["accelerator"]) == (2, "ddp", "cpu")
