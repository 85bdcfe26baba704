"""Large pictures in overlapping tiles that answer what the whole picture would.

A tile reads more than it answers for: a margin at least as wide as the network's reach (how far a pixel can move a
map) on every side that is not a border of the picture. Tiles begin on the network's coarsest grid, so that strided
convolutions and upsampling see the same positions in a tile as in the whole picture. Both together make a tiled answer
equal to the untiled one up to the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Pixels:
    """Pictures (N, 3, H, W) whose features are made tile by tile and not kept: memory does not grow with them."""

    network: DistortionNetwork
    image: torch.Tensor

    def __len__(self) -> int:
        return self.image.shape[0]

    @property
    def held(self) -> torch.Tensor:
        """What is in memory, for its type and place."""
        return self.image

    def read(self, index: int, part: Tile) -> list[torch.Tensor]:
        """Features, finest first, of what a tile reads of one picture."""
        rows, columns = (slice(span.read_start, span.read_stop) for span in (part.rows, part.columns))
        return self.network.encode(self.image[index : index + 1, :, rows, columns])


@dataclass(frozen=True)
class Features:
    """Pictures by their features at strides 4, 8, ..., from :func:`tiled_features`."""

    levels: list[torch.Tensor]

    def __len__(self) -> int:
        return self.levels[0].shape[0]

    @property
    def held(self) -> torch.Tensor:
        """What is in memory, for its type and place."""
        return self.levels[0]

    def read(self, index: int, part: Tile) -> list[torch.Tensor]:
        """Features, finest first, of what a tile reads of one picture."""
        coarsest = 4 * 2 ** (len(self.levels) - 1)
        found = []
        for step, level in enumerate(self.levels):
            stride = 4 * 2**step
            # At the picture's end all that the padding up to the encoder's stride gave, too.
            rows, columns = (
                slice(span.read_start // stride, _up(span.read_stop, coarsest) // stride)
                for span in (part.rows, part.columns)
            )
            found.append(level[index : index + 1, :, rows, columns])
        return found


def tiled_features(network: DistortionNetwork, image: torch.Tensor, core: int) -> list[torch.Tensor]:
    """What ``network.encode`` gives for the whole pictures (N, 3, H, W), one tile of one picture at a time.

    The encoder reaches less far than the maps do, so tiles read little more than they answer for; the features take
    less memory than the picture does, encoding it at once takes several times as much.
    """
    encoder = network.encoder
    reaches = encoder.reaches()
    assert reaches is not None
    count, (height, width) = image.shape[0], image.shape[-2:]
    size = [_up(side, encoder.stride) for side in (height, width)]
    levels: list[torch.Tensor] = []
    for part in plan(height, width, core, max(reaches), encoder.stride):
        for index in range(count):
            for step, found in enumerate(Pixels(network, image).read(index, part)):
                stride = 4 * 2**step
                if step == len(levels):
                    shape = (count, found.shape[1], size[0] // stride, size[1] // stride)
                    levels.append(_blank(shape, found.dtype, found.device))
                into, of = _answer(part, stride, levels[step].shape[-2:], (height, width))
                levels[step][index][into] = found[0][of]
    return levels


def tiled_maps(
    network: DistortionNetwork, test: Pixels | Features, ref: Pixels | Features, core: int, size: tuple[int, int]
) -> torch.Tensor:
    """Maps at stride 4 as the whole pictures would give them, one tile of one picture at a time.

    Args:
        network: one whose ``reach`` is not None.
        test: N pictures.
        ref: as many, or one. Equal pictures answer exactly 0.5 only where both are of the same kind.
        core: side of the part that a tile answers for, pixels.
        size: the pictures' H and W.

    Returns:
        (N, K, h, w), with h and w a quarter of H and W rounded up to the encoder's stride.
    """
    assert network.reach is not None
    coarse_size = torch.Size(_up(side, network.encoder.stride) // 4 for side in size)
    # Before the tiles, whose freed memory would else be cut up by it.
    kind = torch.promote_types(test.held.dtype, torch.float32)
    coarse = _blank((len(test), len(network.channels), *coarse_size), kind, test.held.device)
    for part in plan(*size, core, network.reach, network.grid):
        into, of = _answer(part, 4, coarse_size, size)
        features = ref.read(0, part)
        for index in range(len(test)):
            if index > 0 and len(ref) > 1:
                features = ref.read(index, part)
            found = network.coarse(network.decode(test.read(index, part), features))
            coarse[index][into] = found[0][of]
    return coarse


Place = tuple[slice, slice, slice]


def _answer(part: Tile, stride: int, whole: Sequence[int], size: Sequence[int]) -> tuple[Place, Place]:
    """Where a tile's answer at ``stride`` goes within the whole's, and where it is within what the tile has found."""
    into, of = [slice(None)], [slice(None)]
    for span, end, length in zip((part.rows, part.columns), whole, size, strict=True):
        # A picture's last tile answers for the padding beyond its end, too.
        start, stop = span.start // stride, end if span.stop == length else span.stop // stride
        skip = (span.start - span.read_start) // stride
        into.append(slice(start, stop))
        of.append(slice(skip, skip + stop - start))
    return (into[0], into[1], into[2]), (of[0], of[1], of[2])


def _blank(shape: tuple[int, ...], kind: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.empty(shape, dtype=kind, device=device, memory_format=torch.channels_last)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
