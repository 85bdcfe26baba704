"""Parts of a picture lost on the way."""

from __future__ import annotations

import numpy as np

from .common import Image, Strength

BLOCK_SIZES = (8, 16, 32)
"""Sides of lost blocks in px: a JPEG block, a macroblock, a larger coding unit."""


def block_loss(image: Image, strength: Strength, rng: np.random.Generator) -> Image:
    """A share ``strength`` of 8 to 32 px blocks lost: copied from a neighbour, repeated, or grey.

    A block lost at one strength is lost at every higher one. Where the strength is an array, its value in the
    middle of a block decides for the whole block.
    Imitates transmission errors with and without concealment, and broken memory.
    Source: TID2013 types 13 (transmission errors) and 15 (local block-wise distortions).
    """
    height, width = image.shape[:2]
    # Small ones more often, and at least eight blocks a side where the picture allows it.
    sizes = [size for size in BLOCK_SIZES if size == 8 or 8 * size <= min(height, width)]
    chances = 1 / np.array(sizes)
    size = int(rng.choice(sizes, p=chances / chances.sum()))
    rows, columns = np.arange(height) // size, np.arange(width) // size
    # Ranks instead of chances: ceil(share x count) blocks are lost, at least one as soon as the share exceeds 0.
    count = (int(rows[-1]) + 1, int(columns[-1]) + 1)
    order = rng.permutation(count[0] * count[1]).reshape(count) / (count[0] * count[1])
    filled = _concealment(image, size, rng)

    plane = np.asarray(strength, dtype=np.float32)
    share = np.broadcast_to(plane[..., 0] if plane.ndim else plane, (height, width))
    middle_row = np.minimum(np.arange(count[0]) * size + size // 2, height - 1)
    middle_column = np.minimum(np.arange(count[1]) * size + size // 2, width - 1)
    lost = order < share[np.ix_(middle_row, middle_column)]
    return np.where(lost[np.ix_(rows, columns)][..., None], filled, image)


def _concealment(image: Image, size: int, rng: np.random.Generator) -> Image:
    """What is shown in place of lost blocks, for every block of the picture."""
    height, width = image.shape[:2]
    kind = rng.choice(("neighbour", "repeat", "grey"))
    if kind == "neighbour":  # the block beside or above, displaced by more or less than a block
        down, right = (int(v) for v in rng.integers(size // 2, 2 * size, 2))
        return np.roll(image, (down, right), axis=(0, 1))
    if kind == "repeat":  # the first row or column of the block continued through it
        rows, columns = np.arange(height), np.arange(width)
        if rng.random() < 0.5:
            return image[rows - rows % size]
        return image[:, columns - columns % size]
    return np.full_like(image, rng.uniform(0.3, 0.7))
