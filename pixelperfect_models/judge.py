"""The judge: both trained networks behind one object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import MIN_SIDE
from pixelperfect_models.networks import (
    DistortionNetwork,
    ScoringNetwork,
    build_distortion_network,
    build_scoring_network,
)
from pixelperfect_models.networks.compiled import Passes, asks_for_gradient, at_most, compiles
from pixelperfect_models.networks.scoring_network import Scored, pool_maps
from pixelperfect_models.precision import Precision, autocast, computes_bfloat16
from pixelperfect_models.tiling import Features, Pixels, tiled_features, tiled_maps

DISTORTION_WEIGHTS, SCORE_WEIGHTS = "distortion.safetensors", "score.safetensors"


TILED_ABOVE = 6_000_000
"""Pixels of a picture above which ``maps`` works in tiles by itself."""

TILE = 1536
"""Side of the part that a tile answers for then, pixels; it reads the network's reach more on every side."""

KEPT_UP_TO = 25_000_000
"""Pixels of a tiled picture up to which its features are kept, 15 bytes a pixel: above it they are made again by every
tile, so that memory does not grow with the picture."""


class Arithmetic(NamedTuple):
    """How a pair is computed. Equal pictures answer exactly 0.5 and 0 only when both went through the same."""

    kind: torch.dtype
    """The type of the convolutions."""
    passes: Passes
    """Which compiled functions are used where there are any."""

    @contextmanager
    def used(self, image: torch.Tensor) -> Iterator[None]:
        """Within this, what comes from ``image`` is computed so."""
        with autocast(image, self.kind), at_most(self.passes):
            yield


@dataclass(frozen=True)
class Reference:
    """What depends on a reference alone, computed once: :meth:`PixelPerfect.prepare`.

    Features are kept by their arithmetic; those that were not asked for yet are added when they are.
    """

    image: torch.Tensor
    """(N, 3, H, W) in [0, 1]."""
    features: dict[Arithmetic, list[torch.Tensor]] = field(default_factory=dict)
    """The distortion network's features, finest first, of a picture that is worked on at once."""
    pieced: dict[Arithmetic, list[torch.Tensor]] = field(default_factory=dict)
    """The same of a picture that is worked on in tiles; above :data:`KEPT_UP_TO` pixels none are kept."""
    seen: dict[Arithmetic, list[torch.Tensor]] = field(default_factory=dict)
    """The scoring network's features, finest first."""


class PixelPerfect(nn.Module):
    """Distortion maps and a relational score of a picture against a reference.

    Both are anti-symmetric: ``maps(a, b) = 1 - maps(b, a)``, ``score(a, b) = -score(b, a)``; equal pictures give
    0.5 and 0. The reference need not be pristine.

    Examples:
        >>> judge = PixelPerfect.from_pretrained()
        >>> picture = torch.rand(1, 3, 32, 48)
        >>> judge.maps(picture, picture).shape == (1, len(judge.types), 32, 48)
        True
        >>> float(judge.score(picture, picture))
        0.0

    Attributes:
        precision: ``float32``; ``bfloat16`` for the convolutions wherever no gradient is asked for; or ``auto``:
            bfloat16 where the processor or GPU computes it. Gradients are always computed in the pictures' own type.
    """

    precision: Precision

    def __init__(
        self, distortion: DistortionNetwork, scoring: ScoringNetwork, precision: Precision = "float32"
    ) -> None:
        super().__init__()
        if precision not in get_args(Precision):
            raise ValueError(f"precision: '{precision}' is unknown, expected one of {', '.join(get_args(Precision))}")
        self.precision = precision
        self.distortion = distortion
        self.scoring = scoring
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None, precision: Precision = "float32") -> PixelPerfect:
        """Load both networks, in evaluation mode and frozen.

        Args:
            path: a folder that holds ``distortion.safetensors`` and ``score.safetensors`` as ``tuner train`` writes
                them; None for the weights shipped with the package. Nothing is downloaded.
            precision: see the class.

        Raises:
            UserError: a file is missing or is not what it should be.
        """
        folder = Path(path) if path is not None else shipped_weights()
        distortion = load_distortion_network(folder / DISTORTION_WEIGHTS)
        file = folder / SCORE_WEIGHTS
        metadata = _metadata(file)
        scoring = build_scoring_network(json.loads(metadata["network"]))
        load_state(scoring, file)
        return cls(distortion, scoring, precision).eval().requires_grad_(False)

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the K maps."""
        return self.distortion.channels

    def prepare(self, ref: torch.Tensor) -> Reference:
        """Encode a reference (N, 3, H, W) once, to be asked about many times. No gradient reaches it.

        Features take 15 bytes a pixel, slightly more than the picture; above 25 megapixels those of the distortion
        network are not kept, but made again tile by tile.
        """
        self._check(ref, "ref")
        reference = Reference(ref.detach())
        how = self._arithmetic(reference.image)
        if self._core(reference.image, "auto") is None:
            self._features(reference, how)
        else:
            self._in_tiles(reference, "auto", how)
        self._seen(reference, self._arithmetic(reference.image, most=Passes.DIFFERENTIABLE))
        return reference

    def maps(
        self,
        test: torch.Tensor,
        ref: torch.Tensor | Reference,
        *,
        tile: int | Literal["auto"] | None = "auto",
        full: bool = True,
    ) -> torch.Tensor:
        """Distortion maps (N, K, H, W) in [0, 1]: 0.5 alike, above it test has more, below it ref has more.

        Args:
            test: (N, 3, H, W), sRGB-encoded, [0, 1]; sides of at least 16. Differentiable.
            ref: the same shape (or a batch of one), or what :meth:`prepare` gave.
            tile: side in pixels of the parts that the picture is worked on in, with overlap, so that memory does not
                grow with the picture; the answer is the same but for rounding. ``auto``: 1536 above 6 megapixels
                where no gradient is asked for, else the whole picture at once. None: always at once.
            full: False leaves the maps at the resolution they are computed in, (N, K, ceil(H / 4), ceil(W / 4)):
                full size is only their bilinear enlargement, and takes 60 bytes a pixel.

        Raises:
            ValueError: shapes that do not fit; a tile for a network whose answer at a pixel depends on the whole
                picture.
        """
        self._check_pair(test, ref)
        how = self._arithmetic(test, ref)
        core = self._core(test, tile, self._wants_gradient(test, ref))
        height, width = test.shape[-2:]
        with how.used(test):
            if core is None:
                features = self._features(ref, how)
                coarse = self.distortion.coarse(self.distortion.decode(self.distortion.encode(test), features))
            else:
                sides = self._in_tiles(test, tile, how), self._in_tiles(ref, tile, how)
                coarse = tiled_maps(self.distortion, *sides, core, (height, width))
        if not full:
            return coarse[..., : -(-height // 4), : -(-width // 4)]
        return self.distortion.enlarge(coarse, (height, width))

    def score(self, test: torch.Tensor, ref: torch.Tensor | Reference) -> torch.Tensor:
        """Relational score (N,): positive where test looks better than ref. Arguments as :meth:`maps`.

        Neither picture is taken to be the better one beforehand. Where the reference is known to be the truth,
        :meth:`difference` says how far from it the test looks.
        """
        return self._score(test, ref, self.maps(test, ref, full=False))

    def difference(self, test: torch.Tensor, ref: torch.Tensor | Reference) -> torch.Tensor:
        """How far apart the two look (N,), 0 for equal pictures, the same for both orders. Arguments as :meth:`maps`.

        In the units of the score: where one picture is plainly the better one, its absolute value.
        """
        return self._scored(test, ref, None).difference

    def judge(
        self,
        test: torch.Tensor,
        ref: torch.Tensor | Reference,
        *,
        tile: int | Literal["auto"] | None = "auto",
        full: bool = True,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps and score: what :meth:`maps` and :meth:`score` give. Arguments as :meth:`maps`."""
        coarse = self.maps(test, ref, tile=tile, full=False)
        score = self._score(test, ref, coarse)
        return (self.distortion.enlarge(coarse, (test.shape[-2], test.shape[-1])) if full else coarse), score

    def _score(self, test: torch.Tensor, ref: torch.Tensor | Reference, coarse: torch.Tensor) -> torch.Tensor:
        return self._scored(test, ref, pool_maps(coarse)).score

    def _scored(self, test: torch.Tensor, ref: torch.Tensor | Reference, artefacts: torch.Tensor | None) -> Scored:
        self._check_pair(test, ref)
        how = self._arithmetic(test, ref, most=Passes.DIFFERENTIABLE)
        with how.used(test):
            return self.scoring(self.scoring.encode(test), self._seen(ref, how), artefacts)

    def _features(self, ref: torch.Tensor | Reference, how: Arithmetic) -> list[torch.Tensor]:
        return _encoded(ref, "features", how, self.distortion.encode)

    def _in_tiles(
        self, picture: torch.Tensor | Reference, tile: int | Literal["auto"] | None, how: Arithmetic
    ) -> Pixels | Features:
        """How tiles read a picture; test and reference of one pair alike."""
        image = picture.image if isinstance(picture, Reference) else picture
        if tile != "auto" or image.shape[-2] * image.shape[-1] > KEPT_UP_TO:
            return Pixels(self.distortion, image)

        def encode(image: torch.Tensor) -> list[torch.Tensor]:
            return tiled_features(self.distortion, image, TILE)

        return Features(_encoded(picture, "pieced", how, encode))

    def _seen(self, ref: torch.Tensor | Reference, how: Arithmetic) -> list[torch.Tensor]:
        return _encoded(ref, "seen", how, self.scoring.encode)

    def _core(self, image: torch.Tensor, tile: int | Literal["auto"] | None, gradient: bool = False) -> int | None:
        """The side of the tiles, or None for the whole picture at once."""
        if tile is None:
            return None
        local = self.distortion.reach is not None
        if tile == "auto":
            return TILE if local and not gradient and image.shape[-2] * image.shape[-1] > TILED_ABOVE else None
        if not local:
            raise ValueError("tile: this judge's network reads the whole picture at once, expected None or 'auto'")
        if tile < 1:
            raise ValueError(f"tile: {tile}, expected a side in pixels, None or 'auto'")
        return tile

    def _wants_gradient(self, *pictures: torch.Tensor | Reference) -> bool:
        tensors = (picture for picture in pictures if isinstance(picture, torch.Tensor))
        return asks_for_gradient(*tensors, self)

    def _arithmetic(
        self, test: torch.Tensor, ref: torch.Tensor | Reference | None = None, most: Passes = Passes.ALL
    ) -> Arithmetic:
        pictures = [test] if ref is None else [test, ref]
        gradient = self._wants_gradient(*pictures)
        images = [picture.image if isinstance(picture, Reference) else picture for picture in pictures]
        # Decided once for both: one may be of a kind that they do not take, or ask for a gradient.
        passes = min(most, Passes.DIFFERENTIABLE if gradient else Passes.ALL)
        if not compiles(*images, differentiable=passes < Passes.ALL):
            passes = Passes.NONE
        if gradient or test.dtype != torch.float32 or self.precision == "float32":
            return Arithmetic(test.dtype, passes)
        half = self.precision == "bfloat16" or computes_bfloat16(test.device)
        return Arithmetic(torch.bfloat16 if half else test.dtype, passes)

    def _check_pair(self, test: torch.Tensor, ref: torch.Tensor | Reference) -> None:
        self._check(test, "test")
        image = ref.image if isinstance(ref, Reference) else ref
        if not isinstance(ref, Reference):
            self._check(ref, "ref")
        if image.shape[-2:] != test.shape[-2:] or image.shape[0] not in (1, test.shape[0]):
            raise ValueError(
                f"test is {tuple(test.shape)} and ref {tuple(image.shape)}; expected the same height and width, and "
                "as many references as tests, or one"
            )

    @staticmethod
    def _check(image: torch.Tensor, name: str) -> None:
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            raise ValueError(f"{name}: {tuple(image.shape)} {image.dtype}, expected float (N, 3, H, W) in [0, 1]")
        if min(image.shape[-2:]) < MIN_SIDE:
            raise ValueError(f"{name}: {tuple(image.shape)}, expected sides of at least {MIN_SIDE} pixels")


def _encoded(
    picture: torch.Tensor | Reference,
    part: Literal["features", "pieced", "seen"],
    how: Arithmetic,
    encode: Callable[[torch.Tensor], list[torch.Tensor]],
) -> list[torch.Tensor]:
    """What ``encode`` gives for a picture; of a reference it is kept as its ``part``."""
    if not isinstance(picture, Reference):
        return encode(picture)
    store: dict[Arithmetic, list[torch.Tensor]] = getattr(picture, part)
    if how not in store:
        with torch.no_grad(), how.used(picture.image):
            store[how] = encode(picture.image)
    return store[how]


def shipped_weights() -> Path:
    """The folder of the weights shipped with the package."""
    return Path(str(resources.files("pixelperfect_models").joinpath("weights", "compact")))


def load_distortion_network(file: Path) -> DistortionNetwork:
    """Load F from ``file``. Raises UserError when it is missing or is not a distortion network."""
    metadata = _metadata(file)
    network = build_distortion_network(**json.loads(metadata["network"]), channels=json.loads(metadata["channels"]))
    load_state(network, file)
    return network


def save_network(network: nn.Module, file: Path, options: Mapping[str, Any], channels: tuple[str, ...]) -> None:
    """Write a network's weights as safetensors, its configuration beside them in the file's metadata."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    metadata = {"network": json.dumps(dict(options)), "channels": json.dumps(list(channels))}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, file, metadata=metadata)
    file.chmod(0o644)  # safetensors writes 0600, which an installed package's other users could not read


def _metadata(file: Path) -> dict[str, str]:
    if not file.is_file():
        raise UserError(f"{file}: no such weights file; expected what 'tuner train' writes")
    try:
        with safe_open(file, framework="pt") as stream:
            metadata = stream.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{file}: not a safetensors file ({error})") from None
    if "network" not in metadata or "channels" not in metadata:
        raise UserError(f"{file}: no network configuration inside; expected weights that 'tuner train' wrote")
    return metadata


def load_state(network: nn.Module, file: Path) -> None:
    """Fill ``network`` with the weights in a safetensors file. Raises UserError where they do not fit."""
    try:
        network.load_state_dict(load_file(file))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(f"{file}: the weights do not fit the network ({first})") from None
