"""Ordinally ranked sets for S: crops of photos at rising severities, each labelled by the classical consensus.

A set is one pristine crop and, for some distortion types, the crop at rising severities of that type. Making and
labelling one takes about a second, and so does running F over it, which is frozen: both are done once and kept in a
folder. A set is a function of its number and the seed; those already there are not made again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch.utils.data import Dataset

from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.evaluation.classical import CONSENSUS_WEIGHTS, METRICS, classical_metrics
from pixelperfect_models.networks import DistortionNetwork
from pixelperfect_models.networks.scoring_network import pool_streams
from pixelperfect_models.training.photos import PhotoPool


def make_sets(
    folder: Path,
    photos: PhotoPool,
    engine: DistortionEngine,
    *,
    count: int,
    crop: int,
    levels: int,
    types_per_set: int,
    seed: int,
    validation: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Make the sets that are missing in ``folder`` and return all ``count`` files.

    A file holds ``images`` (1 + types * levels, S, S, 3) uint8, pristine first; ``group`` and ``level`` of each
    (0 for pristine, then 1, 2, ... within each group); and the metrics of :data:`CONSENSUS_WEIGHTS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        file = folder / f"set_{number:05d}.npz"
        files.append(file)
        if file.exists():
            continue
        rng = np.random.default_rng([seed, 2 + int(validation), number])
        photo = photos.crop(rng, crop, validation)
        images, group, level = [photo], [0], [0]
        for index in range(types_per_set):
            ordinal = engine.ordinal_set(photo, rng, levels=levels + 1)
            images.extend(ordinal.images[1:])
            group.extend([index + 1] * levels)
            level.extend(range(1, levels + 1))
        pixels = np.round(np.clip(np.stack(images), 0, 1) * 255).astype(np.uint8)
        metrics = _metrics(pixels)
        part = file.with_suffix(".part")
        with part.open("wb") as stream:
            np.savez(stream, images=pixels, group=group, level=level, **metrics)  # type: ignore[arg-type]
        part.replace(file)
        if console and (number + 1) % 50 == 0:
            console.print(f"quality sets: {number + 1}/{count}")
    return files


def _metrics(pixels: np.ndarray) -> dict[str, np.ndarray]:
    batch = torch.from_numpy(pixels.astype(np.float32).transpose(0, 3, 1, 2) / 255.0)
    values = classical_metrics(batch, batch[:1].expand_as(batch), tuple(CONSENSUS_WEIGHTS))
    return {name: np.asarray(value, dtype=np.float32) for name, value in values.items()}


@torch.no_grad()
def cache_streams(
    files: list[Path],
    distortion: DistortionNetwork,
    fingerprint: str,
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    console: Console | None = None,
) -> list[Path]:
    """Run the frozen F over every set once and keep what S reads of it; those already there are kept.

    A set has M pictures. Two halves are kept, (2 M, C, H / 8, W / 8) float16: each picture against the pristine one,
    then each against the next one in a cyclic order drawn from the file's name, which is in ``order``.

    Args:
        files: from :func:`make_sets`.
        distortion: F, in evaluation mode.
        fingerprint: of F's weights; streams of other weights are made anew.
        autocast: context for F's forward pass.
        console: told about progress.
    """
    cached = []
    for number, file in enumerate(files):
        target = file.with_name(f"{file.stem}.{fingerprint[:12]}.streams.npz")
        cached.append(target)
        if target.exists():
            continue
        with np.load(file) as data:
            images = torch.from_numpy(data["images"].astype(np.float32).transpose(0, 3, 1, 2) / 255.0)
        order = np.random.default_rng(number).permutation(len(images))
        device = next(distortion.parameters()).device
        odd, even = [], []
        with autocast():
            # Picture by picture: the same arithmetic as in use, and little memory.
            features = [distortion.encode(image.unsqueeze(0).to(device)) for image in images]
            others = [(i, 0) for i in range(len(images))]
            others += [(int(i), int(j)) for i, j in zip(order, np.roll(order, -1), strict=True)]
            for test, ref in others:
                streams = pool_streams(distortion.decode(features[test], features[ref]))
                odd.append(streams.odd.half().cpu().numpy())
                even.append(streams.even.half().cpu().numpy())
        part = target.with_suffix(".part")
        with part.open("wb") as stream:
            np.savez(stream, odd=np.concatenate(odd), even=np.concatenate(even), order=order)
        part.replace(target)
        if console and (number + 1) % 50 == 0:
            console.print(f"streams: {number + 1}/{len(files)}")
    return cached


class QualitySets(Dataset[dict[str, torch.Tensor]]):
    """``[i]`` -> odd and even (2 M, C, h, w), order, quality in [0, 1], group and level (M,) of a set drawn by ``i``.

    Quality is the weighted mean rank over all pictures of all sets (1: pristine), so it means the same for every
    photo and type.
    """

    def __init__(self, files: list[Path], streams: list[Path], length: int, seed: int) -> None:
        self.files, self.streams, self.length, self.seed = files, streams, length, seed
        columns: dict[str, list[np.ndarray]] = {name: [] for name in CONSENSUS_WEIGHTS}
        self.labels = []
        for file in files:
            with np.load(file) as data:
                for name in columns:
                    columns[name].append(data[name])
                self.labels.append((torch.from_numpy(data["group"]), torch.from_numpy(data["level"])))
        self.quality = _consensus({name: np.stack(rows) for name, rows in columns.items()})

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        # One seeded permutation an epoch: every set is seen equally often, and step s is the same after a resume.
        epoch, place = divmod(index, len(self.files))
        number = int(np.random.default_rng([self.seed, epoch]).permutation(len(self.files))[place])
        group, level = self.labels[number]
        with np.load(self.streams[number]) as data:
            arrays = {name: torch.from_numpy(data[name]) for name in ("odd", "even", "order")}
        return {**arrays, "quality": torch.from_numpy(self.quality[number]), "group": group, "level": level}


def _consensus(values: dict[str, np.ndarray]) -> np.ndarray:
    """Weighted mean of each metric's mid-rank in [0, 1] over all entries, (sets, M); higher is better."""
    total = np.zeros(next(iter(values.values())).shape, dtype=np.float64)
    for name, weight in CONSENSUS_WEIGHTS.items():
        oriented = values[name] * METRICS[name][1]
        order = np.sort(oriented, axis=None)
        low = np.searchsorted(order, oriented.ravel(), side="left")
        high = np.searchsorted(order, oriented.ravel(), side="right")
        total += weight * ((low + high - 1) / 2 / max(1, order.size - 1)).reshape(total.shape)
    total /= sum(CONSENSUS_WEIGHTS.values())
    return (total / total.max()).astype(np.float32)
