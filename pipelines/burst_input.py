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
from pixelperfect_models.images import SUFFIXES, list_images, picture_size, read_image

MOST_FRAMES = 64
"""A folder with more pictures is refused before they are read: it is no burst, and would fill the memory."""
MOST_PIXELS = 250_000_000
"""A folder whose frames have more pixels in all is refused before they are read; 20 frames of 12 megapixels have fewer.
So many pixels take 0.75 GB where the frames have 8 bits, else 3 GB."""


class Burst:
    """Frames of one scene.

    Args:
        frames: (F, 3, H, W), F >= 2, sRGB: float in [0, 1], or uint8 in 0 to 255, a quarter of the memory. The first is
            the reference, whose geometry the output has.
    """

    def __init__(self, frames: Tensor) -> None:
        self.stored = frames

    @property
    def frames(self) -> Tensor:
        """(F, 3, H, W) float in [0, 1]; 8-bit frames are converted at the first call, and kept so."""
        if self.stored.dtype == torch.uint8:
            self.stored = _as_float(self.stored)
        return self.stored


def _as_float(frames: Tensor) -> Tensor:
    """What ``read_image`` makes of 8-bit levels, (..., H, W) float in [0, 1]; floats stay."""
    return frames.to(torch.float32).div_(255.0) if frames.dtype == torch.uint8 else frames


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

        Sizes are compared by the files' headers, before any pixel is read. Frames of 8 bits are held as such.

        Raises:
            UserError: fewer than two frames, more than :data:`MOST_FRAMES`, more than :data:`MOST_PIXELS` in all,
                frames of different sizes, or one that cannot be read; the message names the file.
        """
        path = Path(path)
        if not path.is_dir():
            return Burst(self.simulation.shoot(read_image(path), path.name)[0])
        files = list_images(path)
        if len(files) > MOST_FRAMES:
            raise UserError(f"{path}: {len(files)} pictures, expected the frames of one burst, at most {MOST_FRAMES}")
        if len(files) < 2:
            raise UserError(f"{path}: one frame ({files[0].name}), expected at least two pictures")
        height, width = picture_size(files[0])
        for file in files[1:]:
            rows, columns = picture_size(file)
            if (rows, columns) != (height, width):
                raise UserError(f"{file}: {columns} x {rows} pixels, expected {width} x {height} as {files[0].name}")
        if len(files) * height * width > MOST_PIXELS:
            raise UserError(
                f"{path}: {len(files)} frames of {width} x {height} pixels, "
                f"{len(files) * height * width / 1e6:.0f} megapixels in all, expected at most {MOST_PIXELS / 1e6:.0f}"
            )
        return Burst(_read_frames(files, height, width))

    def check(self, given: Any) -> None:
        """Raise UserError unless it is a burst of at least two pictures."""
        if not isinstance(given, Burst):
            raise UserError(f"input is a {type(given).__name__}, expected a Burst (pipelines.burst_input)")
        # Levels of 8 bits are all finite: the first frame's shape is enough.
        check_image(self.preview(given) if given.stored.dtype == torch.uint8 else given.stored)
        if given.stored.shape[0] < 2:
            raise UserError("burst of one frame, expected at least two")

    def like(self, given: Burst) -> Tensor:
        """(1, 3, H, W)."""
        first = given.stored[:1]
        return first.new_zeros((), dtype=torch.float32).expand_as(first) if first.dtype == torch.uint8 else first

    def crop(self, given: Burst, top: int, left: int, height: int, width: int) -> Burst:
        """That part of every frame, as float; the whole burst stays as it is held."""
        return Burst(_as_float(PICTURES.crop(given.stored, top, left, height, width)))

    def preview(self, given: Burst) -> Tensor:
        """The first frame."""
        return _as_float(given.stored[:1])


def _read_frames(files: list[Path], height: int, width: int) -> Tensor:
    """(F, 3, H, W), uint8 where every frame is of 8 bits, else float32; one frame at a time is float beside them."""
    frames = torch.empty(len(files), 3, height, width, dtype=torch.uint8)
    for index, file in enumerate(files):
        frame = read_image(file)[0]
        if frame.shape != frames.shape[1:]:  # a header that says something else than its pixels
            raise UserError(f"{file}: {frame.shape[-1]} x {frame.shape[-2]} pixels, expected {width} x {height}")
        if frames.dtype == torch.uint8:
            levels = (frame * 255.0).round_().to(torch.uint8)
            if torch.equal(_as_float(levels), frame):
                frame = levels
            else:  # a deeper file: its precision is kept, and with it all frames are float
                frames = _as_float(frames)
        frames[index] = frame
    return frames
