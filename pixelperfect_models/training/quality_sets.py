"""Ordinally ranked sets for S: crops of photos at rising severities, each labelled by the teacher's consensus.

A set is one pristine crop and, for some distortion types, the crop at rising severities of that type; in some sets it
is what several denoisers make of one noisy version, each a group of its own. Making and labelling one takes seconds:
both are done once and kept in a folder. A set is a function of its number and the seed; those there are not made
again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.utils.data import Dataset

from pixelperfect_models.allocator import release_unused
from pixelperfect_models.distortions import severity
from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.distortions.rare import RARE
from pixelperfect_models.networks import DistortionNetwork
from pixelperfect_models.networks.measurements import measure_pairs, views
from pixelperfect_models.networks.scoring_network import pool_maps, reduce_to_seen
from pixelperfect_models.networks.similarity import EVEN_STATISTICS
from pixelperfect_models.training.denoised import denoised_versions
from pixelperfect_models.training.photos import PhotoPool
from pixelperfect_models.training.teacher import TEACHER_WEIGHTS, consensus, measure

_SPATIAL = 0.15
"""Share of the groups whose intensity varies over the picture."""
_CHAINED = 0.12
"""Share of the others in which one distortion follows another."""
_SEVERE = 0.65
"""The amount at which an engine type reaches intensity 1, the end of the maps' scale; above it, its own limit."""


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
    denoised: float = 0.0,
    validation: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Make and label the sets that are missing in ``folder`` and return all ``count`` files.

    A file holds ``images`` (1 + types * levels, S, S, 3) uint8, pristine first; ``group`` and ``level`` of each
    (0 for pristine, then 1, 2, ... within each group); and the measures of :data:`TEACHER_WEIGHTS`.

    Args:
        rare: share of the evenly distorted groups that are made by a rare distortion.
        denoised: share of the sets made by :func:`denoised_versions`, every picture at level 1 of its own group.
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
            if denoised and rng.random() < denoised:
                count_here = types_per_set * levels
                images.extend(denoised_versions(photo, rng, count_here))
                group.extend(range(1, count_here + 1))
                level.extend([1] * count_here)
            else:
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
    """``levels`` pictures of one distortion, or of two on top of each other, best first."""
    if rng.random() < _SPATIAL:
        return engine.ordinal_set(photo, rng, levels=levels + 1).images[1:]
    chain = [_drawn(engine, rng, rare) for _ in range(2 if rng.random() < _CHAINED else 1)]
    # A set is mild or strong as a whole as often as it spans everything: people rate all of it.
    low, high = np.sort(rng.uniform(0.05, 1.0, 2))
    amounts = np.sort(rng.uniform(low, max(high, low + 0.2), levels)).clip(0.0, 1.0)
    seeds = [int(rng.integers(2**63)) for _ in chain]
    images = []
    for amount in amounts:
        image = photo
        for distort, seed in zip(chain, seeds, strict=True):
            image = distort(image, float(amount), np.random.default_rng(seed))
        images.append(image)
    return images


def _drawn(
    engine: DistortionEngine, rng: np.random.Generator, rare: float
) -> Callable[[np.ndarray, float, np.random.Generator], np.ndarray]:
    """One distortion of the whole picture as ``(image, amount in [0, 1], rng) -> image``."""
    if rng.random() < rare:
        return list(RARE.values())[int(rng.integers(len(RARE)))]
    distortion = severity.find(engine.types[int(rng.integers(len(engine.types)))])

    def distort(image: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
        # The rated sets go on where the maps' scale ends: to the type's own limit.
        if amount <= _SEVERE:
            intensity = amount / _SEVERE * severity.cap(distortion.name)
        else:
            intensity = 1.0 + (amount - _SEVERE) / (1.0 - _SEVERE)
        return distortion.function(image, severity.strength(distortion.name, intensity), random)

    return distort


def _label(file: Path) -> None:
    # Labels are added to sets that lack them, so that another teacher does not mean rendering everything again.
    with np.load(file) as data:
        missing = [name for name in TEACHER_WEIGHTS if name not in data]
        if not missing:
            return
        arrays = {name: data[name] for name in data.files}
    batch = torch.from_numpy(arrays["images"].astype(np.float32).transpose(0, 3, 1, 2) / 255.0)
    values = measure(batch, batch[:1].expand_as(batch), missing)
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

    A file holds ``order``, a cyclic order of the set's M pictures drawn from its number, and ``artefacts`` (3 M, 2 K)
    of :func:`pool_maps` for the pairs of :func:`paired`.

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
        if target.exists() and _complete(target):
            continue
        with np.load(file) as data:
            images = torch.from_numpy(data["images"].astype(np.float32).transpose(0, 3, 1, 2) / 255.0)
        order = np.random.default_rng(int(file.stem.partition("_")[2])).permutation(len(images))
        features = distortion.encode(images.to(device))
        pooled = []
        for test, ref in zip(*(side.view(3, -1) for side in paired(torch.from_numpy(order))), strict=True):
            logits = distortion.decode([x[test] for x in features], [x[ref] for x in features])
            pooled.append(pool_maps(distortion.coarse(logits)).float().cpu().numpy())
        _write(target, {"order": order, "artefacts": np.concatenate(pooled).astype(np.float32)})
        if number % 50 == 0:
            release_unused()
        if console and (number + 1) % 50 == 0:
            console.print(f"maps of quality sets: {number + 1}/{len(files)}")
    return cached


def paired(order: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The pairs that a set is asked about, from its cyclic order (M,): test and ref, (3 M,) each.

    Each picture against the pristine one; each in the order against the next, and against the next but one. The last
    two make triangles: M triples that a judge without contradictions orders.
    """
    own = torch.arange(len(order))
    return torch.cat([own, order, order]), torch.cat([torch.zeros_like(own), order.roll(-1), order.roll(-2)])


def _complete(file: Path) -> bool:
    with np.load(file) as data:  # earlier versions asked about two pairs a picture
        return len(data["artefacts"]) == 3 * len(data["order"])


class QualitySets(Dataset[dict[str, torch.Tensor]]):
    """``[i]`` -> even (M, E) and amount (M,) against the pristine picture, quality, group and level of a set.

    With ``pictures`` also images (M, 3, h, w) as seen, turned and flipped at random: what a network with a
    learned encoder needs. Quality is the teacher's consensus over all pictures of all sets (1: pristine), so it means
    the same for every photo and type.

    Attributes:
        sets: what is measured of each set, and its groups and levels.
        maps: order and artefacts of :func:`cache_artefacts` of each set.
        quality: (sets, M).
    """

    def __init__(self, files: list[Path], artefacts: list[Path], length: int, seed: int, pictures: bool = True) -> None:
        self.length, self.seed, self.pictures, self.files = length, seed, pictures, files
        columns: dict[str, list[np.ndarray]] = {name: [] for name in TEACHER_WEIGHTS}
        self.sets: list[dict[str, torch.Tensor]] = []
        even, amount = torch.empty(0), torch.empty(0)
        for number, file in enumerate(files):
            with np.load(file) as data:
                for name in columns:
                    columns[name].append(data[name])
                seen = _seen(data["images"])
                place = {"group": torch.from_numpy(data["group"]), "level": torch.from_numpy(data["level"])}
            if not number:
                # In one piece: small results kept between large temporary ones would leave the heap in splinters.
                even, amount = torch.empty(len(files), len(seen), EVEN_STATISTICS), torch.empty(len(files), len(seen))
            found = views(seen)
            even[number], amount[number], _ = measure_pairs(found, [x[:1] for x in found])
            self.sets.append({"even": even[number], "amount": amount[number], **place})
            if number % 50 == 0:
                release_unused()
        self.maps: list[tuple[torch.Tensor, torch.Tensor]] = []
        for file in artefacts:
            with np.load(file) as data:
                self.maps.append((torch.from_numpy(data["order"]), torch.from_numpy(data["artefacts"])))
        self.quality = consensus({name: np.stack(rows) for name, rows in columns.items()})
        self.quality[:, 0] = 1.0  # the metrics of a picture with itself differ by rounding

    def __len__(self) -> int:
        return self.length

    def seen(self, number: int) -> torch.Tensor:
        """The pictures of one set at the resolution at which they are judged, (M, 3, h, w), read from its file."""
        with np.load(self.files[number]) as data:
            return _seen(data["images"])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        # One seeded permutation an epoch: every set is seen equally often, and step s is the same after a resume.
        epoch, place = divmod(index, len(self.sets))
        if self._epoch[0] != epoch:
            self._epoch = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.sets))
        number = int(self._epoch[1][place])
        item = {**self.sets[number], "quality": torch.from_numpy(self.quality[number])}
        if self.pictures:
            rng = np.random.default_rng([self.seed, 1, index])
            axes = [axis for axis in (-1, -2) if rng.random() < 0.5]
            images = self.seen(number)
            item["images"] = (images.transpose(-1, -2) if rng.random() < 0.5 else images).flip(axes)
        return item

    _epoch: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=int))


def _seen(images: np.ndarray) -> torch.Tensor:
    return reduce_to_seen(torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255.0))
