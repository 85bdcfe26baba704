"""Bursts: several frames of one scene, from a folder or made from a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from pipelines.inputs import PICTURES, InputKind, check_image
from pipelines.isp.tone_curve import srgb_decode, srgb_encode
from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.images import SUFFIXES, list_images, read_image

MOST_FRAMES = 64
"""A folder with more pictures is refused before they are read: it is no burst, and would fill the memory."""


@dataclass(frozen=True)
class Burst:
    """Frames of one scene.

    Attributes:
        frames: (F, 3, H, W) sRGB in [0, 1], F >= 2; the first is the reference, whose geometry the output has.
    """

    frames: Tensor


@dataclass(frozen=True)
class BurstSimulation:
    """How a picture becomes a burst.

    The camera walks at random from frame to frame: shift and turn are sums of Gaussian steps, as hand shake between
    exposures is to first order. A disc, of the picture's own texture, enters after the first frame and crosses the
    scene. Every frame gets Poisson-Gaussian noise in linear light (Foi et al. 2008). The first frame has neither shift
    nor turn nor disc, so that the picture itself is its clean truth.

    Attributes:
        frames: how many, 2 to 16.
        shake: deviation of the shift between two frames, pixels, >= 0.
        turn: deviation of the turn between two frames, degrees, >= 0.
        motion: how far the disc moves between two frames, pixels, >= 0; 0: there is none.
        radius: of the disc, as a share of the picture's shorter side.
        shot_noise: variance of the noise per unit of linear signal, >= 0.
        read_noise: deviation of the noise at black, linear, >= 0.
        seed: of all of it, together with the file's name.
    """

    frames: int = 6
    shake: float = 1.5
    turn: float = 0.1
    motion: float = 6.0
    radius: float = 0.12
    shot_noise: float = 0.01
    read_noise: float = 0.01
    seed: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> BurstSimulation:
        """From a recipe's ``pipeline.options.simulate``. Raises UserError that names the key."""
        known = {field.name: field.default for field in fields(cls)}
        if not isinstance(options, Mapping):
            raise UserError(f"simulate is {options!r}, expected a mapping of {', '.join(known)}")
        for key, value in options.items():
            if key not in known:
                raise UserError(f"simulate.{key} is unknown, expected {', '.join(known)}{suggest(str(key), known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise UserError(f"simulate.{key}: {value!r}, expected a number >= 0")
        found = cls(**options)
        if found.frames not in range(2, 17):
            raise UserError(f"simulate.frames: {found.frames!r}, expected a whole number of 2 to 16")
        return found

    def shoot(self, picture: Tensor, name: str) -> tuple[Tensor, Tensor]:
        """(1, 3, H, W) to the frames (F, 3, H, W) and the clean first frame (1, 3, H, W)."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") % 2**63)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=picture.dtype)

        height, width = picture.shape[-2:]
        linear = srgb_decode(picture)
        texture = linear.flip(-1, -2)  # of the same picture, so that the disc's colours belong there
        start = 0.35 + 0.3 * torch.rand(2, generator=generator)
        heading = normal(2)
        heading = heading / heading.norm().clamp(min=1e-6)
        place, angle = torch.zeros(2, dtype=picture.dtype), 0.0
        frames = []
        for index in range(self.frames):
            if index:
                place, angle = place + self.shake * normal(2), angle + self.turn * float(normal(1))
            scene = linear
            if self.motion > 0 and index:
                moved = heading * self.motion * index
                scene = _with_disc(linear, texture, start, moved, self.radius * min(height, width))
            frames.append(scene if index == 0 else _moved(scene, place, angle))
        clean = torch.cat(frames)
        noisy = clean.clamp(min=0.0)
        if self.shot_noise > 0:
            noisy = torch.poisson(noisy / self.shot_noise, generator=generator) * self.shot_noise
        noisy = noisy + self.read_noise * normal(*clean.shape)
        return srgb_encode(noisy).clamp(0.0, 1.0), srgb_encode(clean[:1]).clamp(0.0, 1.0)


def _with_disc(scene: Tensor, texture: Tensor, start: Tensor, moved: Tensor, radius: float) -> Tensor:
    height, width = scene.shape[-2:]
    y = torch.arange(height, dtype=scene.dtype)[:, None] - (start[0] * height + moved[0])
    x = torch.arange(width, dtype=scene.dtype)[None, :] - (start[1] * width + moved[1])
    inside = ((radius - (y**2 + x**2).sqrt()) / 2.0 + 0.5).clamp(0.0, 1.0)
    carried = torch.roll(texture, (round(float(moved[0])), round(float(moved[1]))), (-2, -1))
    return torch.lerp(scene, carried, inside)


def _moved(scene: Tensor, shift: Tensor, degrees: float) -> Tensor:
    """The scene seen by a camera shifted by (down, right) pixels and turned; borders are mirrored."""
    height, width = scene.shape[-2:]
    turn = torch.deg2rad(torch.tensor(degrees, dtype=scene.dtype))
    cos, sin = torch.cos(turn), torch.sin(turn)
    matrix = torch.stack(
        [
            torch.stack([cos, -sin * height / width, 2.0 * shift[1] / width]),
            torch.stack([sin * width / height, cos, 2.0 * shift[0] / height]),
        ]
    )
    grid = affine_grid(matrix[None], list(scene.shape), align_corners=False)
    return grid_sample(scene, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


class BurstInput(InputKind):
    """Folders of frames, and pictures turned into bursts.

    Args:
        simulation: how a picture becomes a burst.
    """

    name = "folder of frames, or picture"
    suffixes = SUFFIXES

    def __init__(self, simulation: BurstSimulation | None = None) -> None:
        self.simulation = simulation or BurstSimulation()

    def accepts(self, path: Path) -> bool:
        """A folder, or a picture file."""
        return path.is_dir() or super().accepts(path)

    def read(self, path: Path) -> Burst:
        """The frames of a folder in the order of their names, or a burst made from a picture.

        Raises:
            UserError: fewer than two frames, more than :data:`MOST_FRAMES`, or frames of different sizes.
        """
        path = Path(path)
        if not path.is_dir():
            return Burst(self.simulation.shoot(read_image(path), path.name)[0])
        files = list_images(path)
        if len(files) > MOST_FRAMES:
            raise UserError(f"{path}: {len(files)} pictures, expected the frames of one burst, at most {MOST_FRAMES}")
        frames = [read_image(file) for file in files]
        if len(frames) < 2:
            raise UserError(f"{path}: one frame ({files[0].name}), expected at least two pictures")
        for file, frame in zip(files, frames, strict=True):
            if frame.shape != frames[0].shape:
                sizes = [f"{each.shape[-1]} x {each.shape[-2]}" for each in (frames[0], frame)]
                raise UserError(f"{file}: {sizes[1]} pixels, expected {sizes[0]} as {files[0].name}")
        return Burst(torch.cat(frames))

    def check(self, given: Any) -> None:
        """Raise UserError unless it is a burst of at least two pictures."""
        if not isinstance(given, Burst):
            raise UserError(f"input is a {type(given).__name__}, expected a Burst (pipelines.burst_input)")
        check_image(given.frames)
        if given.frames.shape[0] < 2:
            raise UserError("burst of one frame, expected at least two")

    def like(self, given: Burst) -> Tensor:
        """(1, 3, H, W)."""
        return given.frames[:1]

    def crop(self, given: Burst, top: int, left: int, height: int, width: int) -> Burst:
        """That part of every frame."""
        return Burst(PICTURES.crop(given.frames, top, left, height, width))

    def preview(self, given: Burst) -> Tensor:
        """The first frame."""
        return given.frames[:1]
