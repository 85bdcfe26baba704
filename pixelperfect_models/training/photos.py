"""Pristine photos in memory, and random crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import list_images, read_array


class PhotoPool:
    """Photos kept as 8-bit arrays, split once into a training and a validation part.

    Args:
        folders: searched recursively for picture files.
        validation: share of the photos held out, chosen by ``seed``.
        seed: of the split.

    Raises:
        UserError: an empty or missing folder, or fewer than two photos.
    """

    def __init__(self, folders: Sequence[str | Path], validation: float = 0.06, seed: int = 0) -> None:
        paths = [path for folder in folders for path in list_images(folder)]
        if len(paths) < 2:
            raise UserError(f"{', '.join(map(str, folders))}: {len(paths)} photo, expected at least 2 to train on")
        order = np.random.default_rng(seed).permutation(len(paths))
        held_out = max(1, round(validation * len(paths)))
        self.photos = [np.round(read_array(path) * 255.0).astype(np.uint8) for path in paths]
        self.validation = [int(i) for i in order[:held_out]]
        self.training = [int(i) for i in order[held_out:]]

    def crop(self, rng: np.random.Generator, side: int, validation: bool = False) -> np.ndarray:
        """A random square crop, (side, side, 3) float32 in [0, 1], scaled, flipped and turned at random.

        Photos are halved in size by up to a factor of two before cropping, so that the networks see content at
        several magnifications; photos smaller than ``side`` are enlarged to it.
        """
        indices = self.validation if validation else self.training
        photo = self.photos[indices[int(rng.integers(len(indices)))]]
        shortest = min(photo.shape[:2])
        # At half the draws the photo keeps its own grid: resampling removes the camera's own grain.
        scale = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.5, 1.0))
        scale = max(scale, side / shortest)
        if scale != 1.0:
            size = (max(side, round(photo.shape[1] * scale)), max(side, round(photo.shape[0] * scale)))
            photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        top = int(rng.integers(photo.shape[0] - side + 1))
        left = int(rng.integers(photo.shape[1] - side + 1))
        window = np.rot90(photo[top : top + side, left : left + side], int(rng.integers(4)))
        if rng.random() < 0.5:
            window = window[:, ::-1]
        return np.ascontiguousarray(window, dtype=np.float32) / 255.0
