"""The judge: both trained networks behind one object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

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
from pixelperfect_models.networks.decoders import Decoded
from pixelperfect_models.networks.scoring_network import pool_streams

DISTORTION_WEIGHTS, SCORE_WEIGHTS = "distortion.safetensors", "score.safetensors"


@dataclass(frozen=True)
class Reference:
    """What depends on a reference alone, computed once: :meth:`PixelPerfect.prepare`."""

    image: torch.Tensor
    """(N, 3, H, W) in [0, 1]."""
    features: tuple[torch.Tensor, ...]
    """The encoder's features, finest first."""


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
    """

    def __init__(self, distortion: DistortionNetwork, scoring: ScoringNetwork) -> None:
        super().__init__()
        self.distortion = distortion
        self.scoring = scoring
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None) -> PixelPerfect:
        """Load both networks, in evaluation mode and frozen.

        Args:
            path: a folder that holds ``distortion.safetensors`` and ``score.safetensors`` as ``tuner train`` writes
                them; None for the weights shipped with the package. Nothing is downloaded.

        Raises:
            UserError: a file is missing or is not what it should be.
        """
        folder = Path(path) if path is not None else shipped_weights()
        distortion = load_distortion_network(folder / DISTORTION_WEIGHTS)
        file = folder / SCORE_WEIGHTS
        metadata = _metadata(file)
        scoring = build_scoring_network(distortion, json.loads(metadata["network"]))
        _load_state(scoring, file)
        return cls(distortion, scoring).eval().requires_grad_(False)

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the K maps."""
        return self.distortion.channels

    def prepare(self, ref: torch.Tensor) -> Reference:
        """Encode a reference (N, 3, H, W) once, to be asked about many times. No gradient reaches it."""
        self._check(ref, "ref")
        with torch.no_grad():
            return Reference(ref.detach(), tuple(self.distortion.encode(ref)))

    def maps(self, test: torch.Tensor, ref: torch.Tensor | Reference) -> torch.Tensor:
        """Distortion maps (N, K, H, W) in [0, 1]: 0.5 alike, above it test has more, below it ref has more.

        Args:
            test: (N, 3, H, W), sRGB-encoded, [0, 1]; sides of at least 16. Differentiable.
            ref: the same shape (or a batch of one), or what :meth:`prepare` gave.

        Raises:
            ValueError: shapes that do not fit.
        """
        decoded = self._decode(test, ref)
        return self.distortion.to_maps(decoded.logits, (test.shape[-2], test.shape[-1]))

    def score(self, test: torch.Tensor, ref: torch.Tensor | Reference) -> torch.Tensor:
        """Relational score (N,): positive where test looks better than ref. Arguments as :meth:`maps`."""
        return self.scoring(pool_streams(self._decode(test, ref))).score

    def judge(self, test: torch.Tensor, ref: torch.Tensor | Reference) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps and score in one pass: what :meth:`maps` and :meth:`score` give, at the price of one."""
        decoded = self._decode(test, ref)
        maps = self.distortion.to_maps(decoded.logits, (test.shape[-2], test.shape[-1]))
        return maps, self.scoring(pool_streams(decoded)).score

    def _decode(self, test: torch.Tensor, ref: torch.Tensor | Reference) -> Decoded:
        self._check(test, "test")
        image = ref.image if isinstance(ref, Reference) else ref
        if not isinstance(ref, Reference):
            self._check(ref, "ref")
        if image.shape[-2:] != test.shape[-2:] or image.shape[0] not in (1, test.shape[0]):
            raise ValueError(
                f"test is {tuple(test.shape)} and ref {tuple(image.shape)}; expected the same height and width, and "
                "as many references as tests, or one"
            )
        features = list(ref.features) if isinstance(ref, Reference) else self.distortion.encode(ref)
        return self.distortion.decode(self.distortion.encode(test), features)

    @staticmethod
    def _check(image: torch.Tensor, name: str) -> None:
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            raise ValueError(f"{name}: {tuple(image.shape)} {image.dtype}, expected float (N, 3, H, W) in [0, 1]")
        if min(image.shape[-2:]) < MIN_SIDE:
            raise ValueError(f"{name}: {tuple(image.shape)}, expected sides of at least {MIN_SIDE} pixels")


def shipped_weights() -> Path:
    """The folder of the weights shipped with the package."""
    return Path(str(resources.files("pixelperfect_models").joinpath("weights", "compact")))


def load_distortion_network(file: Path) -> DistortionNetwork:
    """Load F from ``file``. Raises UserError when it is missing or is not a distortion network."""
    metadata = _metadata(file)
    network = build_distortion_network(**json.loads(metadata["network"]), channels=json.loads(metadata["channels"]))
    _load_state(network, file)
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


def _load_state(network: nn.Module, file: Path) -> None:
    try:
        network.load_state_dict(load_file(file))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UserError(f"{file}: the weights do not fit the network ({first})") from None
