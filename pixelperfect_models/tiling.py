"""Large pictures in overlapping tiles that answer what the whole picture would.

A tile reads more than it answers for: a margin at least as wide as the network's reach (how far a pixel can move a
map) on every side that is not a border of the picture. Tiles begin on the network's coarsest grid, so that strided
convolutions and upsampling see the same positions in a tile as in the whole picture. Both together make a tiled answer
equal to the untiled one up to the rounding of sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pixelperfect_models.networks import DistortionNetwork


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the picture; all but a picture's end are multiples of the grid."""

    start: int
    """First pixel answered for."""
    stop: int
    """One past the last pixel answered for."""
    read_start: int
    """First pixel read."""
    read_stop: int
    """One past the last pixel read."""


@dataclass(frozen=True)
class Tile:
    """A part of a picture."""

    rows: Span
    columns: Span


def spans(length: int, core: int, margin: int, grid: int) -> list[Span]:
    """Cut ``length`` pixels into parts of about equal size, at most ``core`` (rounded up to ``grid``) each.

    Args:
        length: pixels along this axis, >= 1.
        core: the most pixels a part answers for, >= 1.
        margin: pixels read on either side beyond those, >= 0; rounded up to ``grid``.
        grid: what starts are multiples of, >= 1.
    """
    margin = _up(margin, grid)
    parts = -(-length // _up(core, grid))
    step = _up(-(-length // parts), grid)
    return [
        Span(start, min(length, start + step), max(0, start - margin), min(length, start + step + margin))
        for start in range(0, length, step)
    ]


def plan(height: int, width: int, core: int, margin: int, grid: int) -> list[Tile]:
    """The tiles of a picture of ``height`` x ``width`` pixels, row by row. Arguments as :func:`spans`."""
    columns = spans(width, core, margin, grid)
    return [Tile(row, column) for row in spans(height, core, margin, grid) for column in columns]


def tiled_maps(network: DistortionNetwork, test: torch.Tensor, ref: torch.Tensor, core: int) -> torch.Tensor:
    """Maps at stride 4 as the whole pictures would give them, one tile of one picture at a time.

    Args:
        network: one whose ``reach`` is not None.
        test: (N, 3, H, W).
        ref: the same shape, or a batch of one.
        core: side of the part that a tile answers for, pixels.

    Returns:
        (N, K, h, w), with h and w a quarter of H and W rounded up to the encoder's stride.
    """
    assert network.reach is not None
    count, (height, width), stride = test.shape[0], test.shape[-2:], network.encoder.stride
    size = (-(-height // stride) * stride // 4, -(-width // stride) * stride // 4)
    kind = torch.promote_types(test.dtype, torch.float32)
    coarse = torch.empty(
        (count, len(network.channels), *size),
        dtype=kind,
        device=test.device,
        memory_format=torch.channels_last,
    )
    for part in plan(height, width, core, network.reach, network.grid):
        y, x = part.rows, part.columns
        area = (..., slice(y.read_start, y.read_stop), slice(x.read_start, x.read_stop))
        # A picture's last tile answers for the padding beyond its end, too.
        top, bottom = y.start // 4, size[0] if y.stop == height else y.stop // 4
        left, right = x.start // 4, size[1] if x.stop == width else x.stop // 4
        skip = ((y.start - y.read_start) // 4, (x.start - x.read_start) // 4)
        features = network.encode(ref[:1][area])
        for index in range(count):
            if index > 0 and ref.shape[0] > 1:
                features = network.encode(ref[index : index + 1][area])
            found = network.coarse(network.decode(network.encode(test[index : index + 1][area]), features))
            coarse[index, :, top:bottom, left:right] = found[
                0, :, skip[0] : skip[0] + bottom - top, skip[1] : skip[1] + right - left
            ]
    return coarse


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
