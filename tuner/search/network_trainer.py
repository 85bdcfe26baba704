"""Training steps of a restoration network through Lightning Fabric, and a state to go on from exactly where it was."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pixelperfect_models.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_EPSILON = 1e-3
"""Charbonnier: where the absolute error turns into a square, a quarter of an 8-bit level."""
_WARMUP, _LEAST_RATE = 0.02, 0.01
_HOPELESS = 20
"""So many steps in a row without a finite gradient end the training."""

Batches = Callable[[int, int], tuple[Tensor, Tensor]]
"""From the number of a step and the batch size to degraded and clean pictures, (N, 3, S, S) each."""


@dataclass(frozen=True)
class Losses:
    """What is minimised: ``l1 * charbonnier(output, clean) + perceptual * judge(output, clean)``.

    Attributes:
        l1: weight of the fidelity term, the mean of ``sqrt(error ** 2 + 1e-6)``, a smooth L1 (Charbonnier et al. 1994).
        perceptual: weight of the judge's term.
        every: the judge's term is computed at every so many steps, with its weight times that.
        judge: maps outputs and targets in [0, 1] to a number, such as ``PerceptualLoss``; None without.
    """

    l1: float = 1.0
    perceptual: float = 0.0
    every: int = 1
    judge: Callable[[Tensor, Tensor], Tensor] | None = None

    def __call__(self, output: Tensor, clean: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        """The sum to minimise and its unweighted terms; ``output`` may leave [0, 1], the judge sees it clamped."""
        fidelity = ((output - clean).square() + _EPSILON**2).sqrt().mean()
        total, terms = self.l1 * fidelity, {"l1": float(fidelity.detach())}
        if self.judge is not None and self.perceptual > 0 and step % self.every == 0:
            seen = self.judge(output.clamp(0.0, 1.0), clean)
            total = total + self.perceptual * self.every * seen
            terms["perceptual"] = float(seen.detach())
        return total, terms


def rate_at(share: float) -> float:
    """The learning rate's factor when ``share`` of the training is done: a warm-up, then half a cosine down to 0.01."""
    if share < _WARMUP:
        return _LEAST_RATE + (1.0 - _LEAST_RATE) * share / _WARMUP
    done = min(1.0, (share - _WARMUP) / (1.0 - _WARMUP))
    return _LEAST_RATE + (1.0 - _LEAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * done))


class Trainer:
    """AdamW on a network, one batch a step; the same seeds give the same weights, resumed or not.

    Args:
        network: takes and gives (N, 3, S, S); trained in place, on Fabric's device.
        batches: gives the pairs of a step.
        losses: what is minimised.
        fabric: device and precision (:func:`pixelperfect_models.training.loop.make_fabric`).
        batch: pictures a step.
        learning_rate: the highest one.
        seed: of what the network itself draws (dropout).

    Raises:
        UserError: the network has nothing to train.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: Batches,
        losses: Losses,
        fabric: Fabric,
        batch: int,
        learning_rate: float,
        seed: int = 0,
    ) -> None:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not trained:
            raise UserError(f"{type(network).__name__} has no parameters to train")
        self.network = network.train()
        self.done = 0
        self._batches, self._losses, self._fabric = batches, losses, fabric
        self._batch, self._learning_rate, self._seed = batch, learning_rate, seed
        self._optimizer = torch.optim.AdamW(trained, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
        self._wrapped, self._wrapped_optimizer = fabric.setup(network, self._optimizer)
        self._failures = 0

    def step(self, share: float) -> dict[str, float]:
        """One step at the learning rate of ``share`` (:func:`rate_at`); returns the loss's unweighted terms.

        Raises:
            UserError: the gradient has not been finite for twenty steps, or the output has another shape.
        """
        degraded, clean = (side.to(self._fabric.device) for side in self._batches(self.done, self._batch))
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * rate_at(share)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(self._seed * 1_000_003 + self.done)
            output = self._wrapped(degraded)
            if output.shape != clean.shape:
                raise UserError(
                    f"{type(self.network).__name__} gave {tuple(output.shape)}, expected {tuple(clean.shape)}; a "
                    "network that takes certain sizes only needs a search.crop that fits"
                )
            total, terms = self._losses(output, clean, self.done)
            self._fabric.backward(total)
        norm = self._fabric.clip_gradients(
            self._wrapped, self._wrapped_optimizer, max_norm=1.0, error_if_nonfinite=False
        )
        # One step with a gradient that is not finite would spoil the weights for good: it is left out.
        finite = norm is None or bool(torch.isfinite(norm))
        if finite:
            self._wrapped_optimizer.step()
        self._wrapped_optimizer.zero_grad(set_to_none=True)
        self._failures = 0 if finite else self._failures + 1
        if self._failures >= _HOPELESS:
            raise UserError(
                f"training: no finite gradient for {_HOPELESS} steps up to step {self.done}; a lower learning_rate may "
                "help"
            )
        self.done += 1
        return terms

    def save(self, file: Path) -> None:
        """Write all that :meth:`restore` needs, in one step; a kill leaves the old file or the new one."""
        tensors: dict[str, Tensor] = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for index, kept in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in kept.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}")
        # Clones: tied weights share memory, which the format refuses.
        save_file(
            {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()},
            part,
            metadata={"step": str(self.done)},
        )
        part.chmod(0o644)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(file)

    def restore(self, file: Path) -> None:
        """Go on from what :meth:`save` wrote. Raises UserError where it is broken or of another network."""
        try:
            with safe_open(file, framework="pt") as stream:
                done = int((stream.metadata() or {})["step"])
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            network = {name.partition(".")[2]: value for name, value in tensors.items() if name.startswith("network.")}
            self.network.load_state_dict(network)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{file}: not a training state of this network ({type(error).__name__}: {reason})"
            ) from None
        state: dict[int, dict[str, Any]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = value
        self._optimizer.load_state_dict({"state": state, "param_groups": self._optimizer.state_dict()["param_groups"]})
        self.done = done
