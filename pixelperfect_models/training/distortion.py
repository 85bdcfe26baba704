"""Training of F: pairs from the distortion engine, weighted map loss."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.utils.data import Dataset

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.errors import UserError
from pixelperfect_models.judge import (
    DISTORTION_WEIGHTS,
    load_distortion_network,
    load_state,
    save_network,
    shipped_weights,
)
from pixelperfect_models.networks import DistortionNetwork, build_distortion_network
from pixelperfect_models.networks.encoders import TimmEncoder
from pixelperfect_models.training.config import DistortionTraining, load_config, photo_folders
from pixelperfect_models.training.loop import fit, make_fabric
from pixelperfect_models.training.losses import map_loss, order_loss
from pixelperfect_models.training.model_card import write_model_card
from pixelperfect_models.training.narrowing import narrow
from pixelperfect_models.training.photos import PhotoPool

_NARROWING_PAIRS = 400


class PairDataset(Dataset[tuple[torch.Tensor, ...]]):
    """``[i]`` -> (test (3, S, S), ref (3, S, S), target (K, S, S), order (K, 1, 1)), a function of ``seed`` and ``i``.

    The share of easy pairs (one type, clearly visible, pristine reference) falls from 1 to ``easy`` over the first
    ``curriculum`` of the ``count`` items: on the full mixture from the start, types are told apart only after
    thousands of steps (docs/experiments.md).
    """

    def __init__(
        self,
        photos: PhotoPool,
        engine: DistortionEngine,
        crop: int,
        seed: int,
        count: int,
        validation: bool = False,
        curriculum: float = 0.0,
        easy: float = 0.0,
        graded: float = 0.0,
        processes: int = 1,
    ) -> None:
        self.photos, self.engine, self.crop, self.seed, self.count = photos, engine, crop, seed, count
        self.validation, self.curriculum, self.easy = validation, curriculum, easy
        self.graded, self.processes = graded, processes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        # OpenCV's own threads would compete with the training for the cores.
        cv2.setNumThreads(1)
        if self.graded > 0.0:
            # Every process takes each ``processes``-th item, in turn: twins are next to each other in its batch.
            twin, turn = divmod(index // self.processes, 2)
            rng = np.random.default_rng([self.seed, 2 + int(self.validation), twin, index % self.processes])
            if rng.random() < self.graded:
                photo = self.photos.crop(rng, self.crop, self.validation)
                return self._item(*self.engine.graded(photo, rng, stronger=turn == 1))
        rng = np.random.default_rng([self.seed, int(self.validation), index])
        photo = self.photos.crop(rng, self.crop, self.validation)
        past = index / (self.curriculum * self.count) if self.curriculum > 0 else 1.0
        easy = rng.random() < max(self.easy, 1.0 - past)
        test, ref, target = self.engine.single(photo, rng) if easy else self.engine.pair(photo, rng)
        return self._item(test, ref, target, np.zeros((len(CHANNELS), 1, 1), dtype=np.float32))

    @staticmethod
    def _item(
        test: np.ndarray, ref: np.ndarray, target: np.ndarray, order: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        maps = torch.from_numpy(np.ascontiguousarray(target, dtype=np.float32))
        return _planes(test), _planes(ref), maps, torch.from_numpy(order)


def _start(network: DistortionNetwork, folder: str) -> str:
    """Fill ``network`` with the weights in ``folder`` (or the shipped ones); returns their SHA-256."""
    file, _ = _trained(folder, network.channels)
    load_state(network, file)
    return _sha256(file)


def _start_narrowed(network: DistortionNetwork, folder: str, pairs: PairDataset) -> str:
    """Fill ``network`` with channels of the wider one in ``folder``; returns the SHA-256 of its weights."""
    file, wide = _trained(folder, network.channels)
    items = (pairs[index] for index in range(len(pairs)))
    narrow(wide, network, ((test[None], ref[None], target[None]) for test, ref, target, _ in items))
    return _sha256(file)


def _trained(folder: str, channels: Sequence[str]) -> tuple[Path, DistortionNetwork]:
    file = (shipped_weights() if folder == "shipped" else Path(os.path.expandvars(folder))) / DISTORTION_WEIGHTS
    network = load_distortion_network(file)
    if network.channels != tuple(channels):
        raise UserError(f"{file}: its channels are not those of this version; train from the start instead")
    return file, network


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _planes(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))


def train_distortion(
    config: str | Path,
    out_dir: str | Path,
    photos: Sequence[str | Path] | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Path:
    """Train F and write ``distortion.safetensors`` and its model card ``distortion.json``.

    Args:
        config: a shipped configuration's name or a YAML file (:mod:`pixelperfect_models.training.config`).
        out_dir: where checkpoint, weights and card go.
        photos: folders of pristine photos in place of the configuration's.
        resume: go on from the checkpoint in ``out_dir``.

    Returns:
        The weights file.

    Raises:
        UserError: wrong configuration, no photos, or a checkpoint that does not belong here.
        KeyboardInterrupt: stopped by a signal; the checkpoint is written.
    """
    settings = load_config(config)
    schedule = settings.distortion
    out = Path(out_dir)
    folders = [Path(folder) for folder in photos] if photos else photo_folders(settings)
    pool = PhotoPool(folders, seed=settings.seed)
    torch.manual_seed(settings.seed)
    options = {"encoder": settings.network.encoder, "decoder": settings.network.decoder}
    network = build_distortion_network(options["encoder"], options["decoder"])
    started_from = None if schedule.start_from is None else _start(network, schedule.start_from)
    if schedule.encoder_weights is not None:
        if not isinstance(network.encoder, TimmEncoder):
            raise UserError(f"{config}: distortion.encoder_weights: needs network.encoder of kind: timm")
        started_from = network.encoder.load_body(Path(os.path.expandvars(schedule.encoder_weights)))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fabric = make_fabric(schedule.precision, schedule.devices, schedule.strategy)
    engine = DistortionEngine(
        types=schedule.types,
        p_swap=schedule.p_swap,
        p_beyond=schedule.p_beyond,
        masks=schedule.masks,
        emphasis=schedule.emphasis,
    )
    if schedule.narrowed_from is not None:
        measured_by = PairDataset(pool, engine, schedule.crop, settings.seed, _NARROWING_PAIRS, easy=schedule.easy)
        started_from = _start_narrowed(network, schedule.narrowed_from, measured_by)
    total = -(-schedule.steps // schedule.reuse) * schedule.batch * fabric.world_size
    dataset = PairDataset(
        pool,
        engine,
        schedule.crop,
        settings.seed,
        total,
        curriculum=schedule.curriculum,
        easy=schedule.easy,
        graded=schedule.graded,
        processes=fabric.world_size,
    )

    teacher: DistortionNetwork | None = None
    taught_by: str | None = None
    if schedule.teacher is not None:
        file, teacher = _trained(schedule.teacher, network.channels)
        taught_by = _sha256(file)
        teacher.requires_grad_(False).eval().to(fabric.device, memory_format=torch.channels_last)  # type: ignore

    def step(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
        test, ref, target, order = batch
        maps = model(test, ref)
        towards = target
        if teacher is not None:
            with torch.no_grad(), fabric.autocast():
                towards = target.lerp(teacher(test, ref), schedule.teacher_share)
        losses = {"loss": map_loss(maps, target, schedule.w_high, schedule.beta, towards)}
        if schedule.lambda_order:
            losses["order"] = order_loss(maps, target, order)
            losses["loss"] = losses["loss"] + schedule.lambda_order * losses["order"]
        if schedule.lambda_antisymmetry:
            losses["antisymmetry"] = (maps + model(ref, test) - 1.0).square().mean()
            losses["loss"] = losses["loss"] + schedule.lambda_antisymmetry * losses["antisymmetry"]
        return losses

    trained, means = fit(
        fabric,
        network,
        dataset,
        step,
        schedule,
        out / "distortion",
        resume=resume,
        title="distortion network",
        console=console,
    )
    file = out / DISTORTION_WEIGHTS
    if fabric.is_global_zero:
        assert isinstance(trained, DistortionNetwork)
        save_network(trained, file, options, trained.channels)
        held_out = PairDataset(pool, engine, schedule.crop, settings.seed, schedule.validation_pairs, validation=True)
        write_model_card(
            file.with_suffix(".json"),
            network="distortion",
            config=settings.model_dump(mode="json"),
            photos=folders,
            photo_count=len(pool.photos),
            steps=schedule.steps,
            started_from=started_from,
            taught_by=taught_by,
            metrics={"train_loss": means.get("loss", float("nan")), **validate(trained, held_out, schedule)},
        )
    return file


@torch.no_grad()
def validate(network: DistortionNetwork, pairs: PairDataset, schedule: DistortionTraining) -> dict[str, float]:
    """Figures on photos held out of training.

    ``validation_loss``: the training loss. ``validation_mae``: mean absolute map error. ``neutral_mae``: that of a
    network that always answers 0.5. ``channel_accuracy``: share of pairs whose strongest channel (by mean distance
    from neutral) is the one with the strongest target.
    """
    network = network.eval().to("cpu")
    losses, errors, neutral, hits, counted = [], [], [], 0, 0
    for index in range(len(pairs)):
        test, ref, target, _ = (x.unsqueeze(0) for x in pairs[index])
        maps = network(test, ref)
        losses.append(float(map_loss(maps, target, schedule.w_high, schedule.beta)))
        errors.append(float((maps - target).abs().mean()))
        neutral.append(float((target - 0.5).abs().mean()))
        strength, answer = ((x - 0.5).abs().mean((0, 2, 3)) for x in (target, maps))
        if float(strength.max()) > 0.0:
            hits += int(strength.argmax() == answer.argmax())
            counted += 1
    return {
        "validation_loss": float(np.mean(losses)),
        "validation_mae": float(np.mean(errors)),
        "neutral_mae": float(np.mean(neutral)),
        "channel_accuracy": hits / max(1, counted),
    }
