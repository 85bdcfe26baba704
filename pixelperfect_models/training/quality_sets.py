"""Ordinally ranked sets for S: crops of photos at rising severities, each labelled by the teacher's consensus.

A set is one pristine crop and, for some distortion types, the crop at rising severities of that type. Making one takes
about a second and labelling it half of one: both are done once and kept in a folder. A set is a function of its number
and the seed; those already there are not made again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from rich.console import Console
from torch.utils.data import Dataset

from pixelperfect_models.distortions import severity
from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.distortions.rare import RARE
from pixelperfect_models.networks import DistortionNetwork
from pixelperfect_models.networks.scoring_network import pool_maps, seen_factor
from pixelperfect_models.training.photos import PhotoPool
from pixelperfect_models.training.teacher import TEACHER_WEIGHTS, consensus, measure


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
    rare: float = 0.5,
    validation: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Make and label the sets that are missing in ``folder`` and return all ``count`` files.

    A file holds ``images`` (1 + types * levels, S, S, 3) uint8, pristine first; ``group`` and ``level`` of each
    (0 for pristine, then 1, 2, ... within each group); and the measures of :data:`TEACHER_WEIGHTS`.

    Args:
        rare: share of the groups that are made by a rare distortion; of the rest half fill the whole picture evenly.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        file = folder / f"set_{number:05d}.npz"
        files.append(file)
        if not file.exists():
            rng = np.random.default_rng([seed, 2 + int(validation), number])
            photo = photos.crop(rng, crop, validation)
            images, group, level = [photo], [0], [0]
            for index in range(types_per_set):
                images.extend(_group(photo, engine, rng, levels, rare))
                group.extend([index + 1] * levels)
                level.extend(range(1, levels + 1))
            pixels = np.round(np.clip(np.stack(images), 0, 1) * 255).astype(np.uint8)
            _write(file, {"images": pixels, "group": np.array(group), "level": np.array(level)})
        _label(file)
        if console and (number + 1) % 50 == 0:
            console.print(f"quality sets: {number + 1}/{count}")
    return files


def _group(
    photo: np.ndarray, engine: DistortionEngine, rng: np.random.Generator, levels: int, rare: float
) -> list[np.ndarray]:
    """``levels`` pictures of one distortion, best first."""
    kind = rng.random()
    seed = int(rng.integers(2**63))
    top = float(rng.uniform(0.3, 1.0))
    amounts = np.sort(rng.uniform(0.0, 1.0, levels)) * (top - 0.05) + 0.05
    if kind < rare:
        function = list(RARE.values())[int(rng.integers(len(RARE)))]
        return [function(photo, float(amount), np.random.default_rng(seed)) for amount in amounts]
    if kind < rare + 0.5 * (1.0 - rare):
        name = engine.types[int(rng.integers(len(engine.types)))]
        even = np.ones(photo.shape[:2], dtype=np.float32)
        strengths = [np.float32(amount * severity.cap(name)) for amount in amounts]
        return [engine.planted(photo, name, even * s, np.random.default_rng(seed))[0] for s in strengths]
    return engine.ordinal_set(photo, rng, levels=levels + 1).images[1:]


def _label(file: Path) -> None:
    # Labels are added to sets that lack them, so that another teacher does not mean rendering everything again.
    with np.load(file) as data:
        if all(name in data for name in TEACHER_WEIGHTS):
            return
        arrays = {name: data[name] for name in ("images", "group", "level")}
    batch = torch.from_numpy(arrays["images"].astype(np.float32).transpose(0, 3, 1, 2) / 255.0)
    values = measure(batch, batch[:1].expand_as(batch))
    _write(file, {**arrays, **{name: np.asarray(value, dtype=np.float32) for name, value in values.items()}})


def _write(file: Path, arrays: dict[str, np.ndarray]) -> None:
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    part.replace(file)


@torch.no_grad()
def cache_artefacts(
    files: list[Path], distortion: DistortionNetwork, fingerprint: str, console: Console | None = None
) -> list[Path]:
    """Run the frozen F over every set once and keep what S reads of it; what is there already is kept.

    A file holds ``order``, a cyclic order of the set's M pictures drawn from its number, and ``artefacts`` (2 M, 2 K)
    of :func:`pool_maps`: each picture against the pristine one, then each against the next one in that order.

    Args:
        files: from :func:`make_sets`.
        distortion: F, in evaluation mode, on any device.
        fingerprint: of F's weights; answers of other weights are made anew.
    """
    cached = []
    device = next(distortion.parameters()).device
    for number, file in enumerate(files):
        target = file.with_name(f"{file.stem}.{fingerprint[:12]}.artefacts.npz")
        cached.append(target)
        if target.exists():
            continue
        with np.load(file) as data:
            images = torch.from_numpy(data["images"].astype(np.float32).transpose(0, 3, 1, 2) / 255.0)
        order = np.random.default_rng(int(file.stem.partition("_")[2])).permutation(len(images))
        features = distortion.encode(images.to(device))
        pooled = []
        for test, ref in (
            (np.arange(len(images)), np.zeros(len(images), dtype=int)),
            (order, np.roll(order, -1)),
        ):
            logits = distortion.decode([x[test] for x in features], [x[ref] for x in features])
            pooled.append(pool_maps(distortion.coarse(logits)).cpu().numpy())
        _write(target, {"order": order, "artefacts": np.concatenate(pooled).astype(np.float32)})
        if console and (number + 1) % 50 == 0:
            console.print(f"maps of quality sets: {number + 1}/{len(files)}")
    return cached


class QualitySets(Dataset[dict[str, torch.Tensor]]):
    """``[i]`` -> images (M, 3, h, w) float16 as seen, order, artefacts (2 M, 2 K), quality, group and level of a set.

    Quality is the teacher's consensus over all pictures of all sets (1: pristine), so it means the same for every
    photo and type. ``order`` and ``artefacts``
    are those of :func:`cache_artefacts`. Pictures are
    kept in memory at the resolution at which they are judged (:func:`seen_factor`), 0.2 MB each.
    """

    def __init__(self, files: list[Path], artefacts: list[Path], length: int, seed: int) -> None:
        self.length, self.seed = length, seed
        columns: dict[str, list[np.ndarray]] = {name: [] for name in TEACHER_WEIGHTS}
        self.sets: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for file in files:
            with np.load(file) as data:
                for name in columns:
                    columns[name].append(data[name])
                images = torch.from_numpy(data["images"].transpose(0, 3, 1, 2).astype(np.float32) / 255.0)
                seen = nnf.avg_pool2d(images, seen_factor(images.shape[-2], images.shape[-1]))
                self.sets.append((seen.half(), torch.from_numpy(data["group"]), torch.from_numpy(data["level"])))
        self.maps: list[tuple[torch.Tensor, torch.Tensor]] = []
        for file in artefacts:
            with np.load(file) as data:
                self.maps.append((torch.from_numpy(data["order"]), torch.from_numpy(data["artefacts"])))
        self.quality = consensus({name: np.stack(rows) for name, rows in columns.items()})
        self.quality[:, 0] = 1.0  # the metrics of a picture with itself differ by rounding

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        # One seeded permutation an epoch: every set is seen equally often, and step s is the same after a resume.
        epoch, place = divmod(index, len(self.sets))
        rng = np.random.default_rng([self.seed, epoch])
        number = int(rng.permutation(len(self.sets))[place])
        rng = np.random.default_rng([self.seed, 1, index])
        images, group, level = self.sets[number]
        axes = [axis for axis in (-1, -2) if rng.random() < 0.5]
        images = (images.transpose(-1, -2) if rng.random() < 0.5 else images).flip(axes)
        order, artefacts = self.maps[number]
        labels = {"quality": torch.from_numpy(self.quality[number]), "group": group, "level": level}
        return {"images": images, "order": order, "artefacts": artefacts, **labels}
