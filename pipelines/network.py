"""A restoration network as a pipeline: which checkpoint, and how much of its answer."""

from __future__ import annotations

import copy
import inspect
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from pipelines.contract import Pipeline, PipelineError
from pipelines.networks import pad_to_multiple
from pipelines.parameters import Parameter, Parameters
from pipelines.registry import import_class
from pixelperfect_models.errors import UserError

SMALL = "pipelines.networks:SmallResidualDenoiser"
_KEPT = 3
"""Loaded checkpoints that are kept in memory."""


class Network(Pipeline):
    """A trained network, any ``torch.nn.Module`` from pictures (N, 3, H, W) to pictures, both sRGB in [0, 1].

    The network runs in evaluation mode, its weights fixed. Weights are read from safetensors files alone, which hold
    numbers and no code.

    Args:
        network: ``"package.module:Class"``.
        arguments: keyword arguments of the class.
        checkpoints: folder of the files ``step-<number>.safetensors`` that ``search.strategy: train`` writes.
        weights: the weights at step 0; without them those that the class gives itself, from ``seed``.
        multiple: the network takes only sides that are a multiple of this many pixels: pictures are padded by their
            last row and column, and the output is cut.
        seed: of the weights that the class draws.

    Raises:
        UserError: the class cannot be imported or made, or the weights do not fit it.
    """

    name = "network"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "step": Parameter(
            0, 10_000_000, 0, unit="training steps", integer=True, doc="Which checkpoint; 0 is the untrained network."
        ),
        "strength": Parameter(
            0.0, 1.0, 1.0, unit="fraction", doc="Share of the network's answer in the output; the rest is the input."
        ),
    }
    options: ClassVar[dict[str, str]] = {
        "network": f"The network, package.module:Class; default {SMALL}.",
        "arguments": "Keyword arguments of the class.",
        "checkpoints": "Folder of step-NUMBER.safetensors files; training fills it in.",
        "weights": "A safetensors file: the weights at step 0. Default: the class's own, from the seed.",
        "multiple": "The network takes sides that are a multiple of so many pixels; default 1.",
        "seed": "Seed of the weights that the class draws; default 0.",
    }
    path_options = ("checkpoints", "weights")

    def __init__(
        self,
        network: str = SMALL,
        arguments: Mapping[str, Any] | None = None,
        checkpoints: str | None = None,
        weights: str | None = None,
        multiple: int = 1,
        seed: int = 0,
    ) -> None:
        for key, value, least in (("multiple", multiple, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f"{key}: {value!r}, expected a whole number >= {least}")
        for key, path in (("checkpoints", checkpoints), ("weights", weights)):
            if path is not None and not isinstance(path, str):
                raise UserError(f"{key}: {path!r}, expected a path")
        self.network = network
        self.checkpoints = None if checkpoints is None else Path(checkpoints)
        self._multiple = multiple
        self._untrained = _make(network, arguments, seed)
        if weights is not None:
            read_weights(self._untrained, Path(weights))
        self._loaded: OrderedDict[tuple[int, torch.dtype, torch.device], nn.Module] = OrderedDict()

    def classes(self) -> tuple[type, ...]:
        """This one and the network's."""
        return (type(self), type(self._untrained))

    def process(self, image: Tensor, step: int, strength: Tensor) -> Tensor:
        """The picture and the network's answer, mixed; differentiable in the picture and in ``strength``."""
        answer = self._at(step, image)(pad_to_multiple(image, self._multiple))
        height, width = image.shape[-2:]
        padded = (height + -height % self._multiple, width + -width % self._multiple)
        if not isinstance(answer, Tensor) or answer.shape != (*image.shape[:2], *padded):
            found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise PipelineError(
                self.name, f"{self.network} gave {found}, expected {(*image.shape[:2], *padded)} as it was given"
            )
        return image + strength * (answer[..., :height, :width] - image)

    def trainable(self) -> nn.Module:
        """A copy of the network at step 0, in training mode."""
        return copy.deepcopy(self._untrained).train()

    def _at(self, step: int, image: Tensor) -> nn.Module:
        key = (step, image.dtype, image.device)
        if key not in self._loaded:
            network = copy.deepcopy(self._untrained)
            if step > 0:
                read_weights(network, self._file(step))
            self._loaded[key] = network.to(image.device, image.dtype).eval().requires_grad_(False)
            while len(self._loaded) > _KEPT:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def _file(self, step: int) -> Path:
        if self.checkpoints is None:
            raise UserError(f"{self.name}: step {step}, but no checkpoints are named: give options.checkpoints")
        file = checkpoint_file(self.checkpoints, step)
        if not file.is_file():
            there = ", ".join(str(each) for each in checkpoint_steps(self.checkpoints)) or "none"
            raise UserError(f"{self.name}: step {step}: {file} is not there (checkpoints there: {there})")
        return file


def checkpoint_file(folder: Path, step: int) -> Path:
    """Where the weights after ``step`` training steps lie."""
    return folder / f"step-{step}.safetensors"


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of all checkpoints in a folder, ascending."""
    names = (path.stem.removeprefix("step-") for path in folder.glob("step-*.safetensors"))
    return sorted(int(name) for name in names if name.isdigit())


def write_weights(network: nn.Module, file: Path) -> None:
    """Write a network's weights and buffers as safetensors, in one step: a kill leaves the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    save_model(network, str(part))
    part.chmod(0o644)  # safetensors writes 0600
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(file)


def read_weights(network: nn.Module, file: Path) -> None:
    """Fill ``network`` with the weights in a safetensors file; tied weights may be stored once.

    Raises:
        UserError: no such file, no safetensors file (a pickle is never opened), or weights of another network.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such weights file, expected a .safetensors file")
    try:
        load_model(network, file, strict=True)
    except SafetensorError as error:
        raise UserError(
            f"{file}: not a safetensors file ({error}). Pickled weights (.pt, .pth, .ckpt) may run code when they are "
            "opened and are not read; save them with safetensors.torch.save_model"
        ) from None
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserError(
            f"{file}: the weights do not fit {type(network).__name__}: {' '.join(lines[1:2] or lines[:1])}"
        ) from None


def _make(target: Any, arguments: Any, seed: int) -> nn.Module:
    if not isinstance(target, str):
        raise UserError(f"network: {target!r}, expected 'package.module:Class'")
    cls = import_class(target, "network")
    if not inspect.isclass(cls) or not issubclass(cls, nn.Module):
        raise UserError(f"network '{target}': expected a class derived from torch.nn.Module")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise UserError(f"arguments: {arguments!r}, expected a mapping of {target}'s keyword arguments")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(**(arguments or {}))
    except Exception as error:  # whatever its constructor raises is its author's to read
        raise UserError(
            f"network '{target}': cannot be made with {dict(arguments or {})} ({type(error).__name__}: {error})"
        ) from error
