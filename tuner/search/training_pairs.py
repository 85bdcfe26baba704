"""What a network is trained on: crops of photos, and the same crops degraded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipelines.sensor_shot import shoot
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_array


class TrainingPairs:
    """Random crops of photos, turned and flipped, with their degraded versions.

    Without ``inputs`` each crop is shot by a simulated camera (:func:`pipelines.sensor_shot.shoot`), photons and read
    noise drawn log-uniformly for each; the target is the clean shot. Batch ``i`` depends on ``seed`` and ``i`` alone,
    so that a resumed training sees what an unbroken one would have seen.

    Args:
        photos: clean pictures; kept in memory at 8 bits.
        inputs: the degraded version of each, of the same size; None to simulate them.
        crop: side of the crops, pixels.
        photons: smallest and largest number of photons at white.
        read_noise: smallest and largest standard deviation at black, in units of white.
        seed: of everything drawn.

    Raises:
        UserError: a picture cannot be read, is smaller than the crop, or differs in size from its input.
    """

    def __init__(
        self,
        photos: Sequence[Path],
        inputs: Sequence[Path] | None = None,
        crop: int = 96,
        photons: tuple[float, float] = (150.0, 600.0),
        read_noise: tuple[float, float] = (0.006, 0.014),
        seed: int = 0,
    ) -> None:
        self._targets = [_read(path, crop) for path in photos]
        self._inputs = None if inputs is None else [_read(path, crop) for path in inputs]
        for index, degraded in enumerate(self._inputs or ()):
            if degraded.shape != self._targets[index].shape:
                sizes = [f"{each.shape[1]} x {each.shape[0]}" for each in (degraded, self._targets[index])]
                raise UserError(
                    f"{(inputs or photos)[index]}: {sizes[0]} pixels beside {photos[index]} with {sizes[1]}, expected "
                    "the same size"
                )
        self._crop, self._photons, self._read_noise, self._seed = crop, photons, read_noise, seed

    def batch(self, index: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``index``: degraded and clean pictures, (size, 3, crop, crop) float32 each, in [0, 1]."""
        rng = np.random.default_rng([self._seed, index])
        pairs = [self._pair(rng) for _ in range(size)]
        degraded, clean = (torch.from_numpy(np.stack(side).transpose(0, 3, 1, 2)) for side in zip(*pairs, strict=True))
        return degraded.contiguous(), clean.contiguous()

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        number = int(rng.integers(len(self._targets)))
        height, width = self._targets[number].shape[:2]
        top, left = int(rng.integers(height - self._crop + 1)), int(rng.integers(width - self._crop + 1))
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

        def cut(photo: np.ndarray) -> np.ndarray:
            window = np.rot90(photo[top : top + self._crop, left : left + self._crop], turns)
            return np.ascontiguousarray(window[:, ::-1] if mirrored else window, dtype=np.float32) / 255.0

        clean = cut(self._targets[number])
        if self._inputs is not None:
            return cut(self._inputs[number]), clean
        photons, read_noise = (float(np.exp(rng.uniform(*np.log(span)))) for span in (self._photons, self._read_noise))
        return shoot(clean, photons, read_noise, rng), shoot(clean, photons, read_noise, None)


def _read(path: Path, crop: int) -> np.ndarray:
    photo = np.round(read_array(path) * 255.0).astype(np.uint8)
    if min(photo.shape[:2]) < crop:
        raise UserError(f"{path}: {photo.shape[1]} x {photo.shape[0]} pixels, expected at least the crop of {crop}")
    return photo
