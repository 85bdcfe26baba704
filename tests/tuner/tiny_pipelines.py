"""Pipelines and recipes small enough for tests of search and study."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

import pipelines.registry
from pipelines.contract import Output, Pipeline
from pipelines.parameters import Choice, Parameter
from pixelperfect_models.images import write_image
from tuner.recipe import Recipe
from tuner.recipe_file import load_recipe

TRUE_GAMMA = 1.6


class Power(Pipeline):
    """``image ** gamma + lift``: undoes a known gamma. Reports bytes that grow with gamma."""

    name = "power"
    differentiable = True
    parameters: ClassVar[dict[str, Parameter | Choice]] = {
        "gamma": Parameter(0.25, 4.0, 1.0, log=True),
        "lift": Parameter(-0.2, 0.2, 0.0),
    }

    def process(self, image: Tensor, gamma: Tensor, lift: Tensor) -> Output:
        """The picture and its size in bytes."""
        return Output(image.clamp(min=1e-4) ** gamma + lift, {"bytes": 100.0 * float(gamma.detach())})


class Steps(Pipeline):
    """Not differentiable: a choice and a whole number."""

    name = "steps"
    parameters: ClassVar[dict[str, Parameter | Choice]] = {
        "mode": Choice(("dark", "same", "bright"), "dark"),
        "levels": Parameter(2, 64, 8, integer=True),
    }

    def process(self, image: Tensor, mode: str, levels: int) -> Tensor:
        """Quantised and shifted."""
        shift = {"dark": -0.1, "same": 0.0, "bright": 0.1}[mode]
        return (image * (levels - 1)).round() / (levels - 1) + shift


class Fragile(Power):
    """Raises, or returns NaN or another shape, in parts of its range."""

    name = "fragile"
    parameters: ClassVar[dict[str, Parameter | Choice]] = {"gamma": Parameter(0.25, 4.0, 1.0)}

    def process(self, image: Tensor, gamma: Tensor) -> Tensor:  # type: ignore[override]
        """``image ** gamma``, where it works."""
        value = float(gamma.detach())
        if value > 3.0:
            raise RuntimeError("gamma too steep")
        if value > 2.5:
            return image * torch.nan
        if value > 2.0:
            return image[..., ::2]
        return image.clamp(min=1e-4) ** gamma


class Broken(Power):
    """Always raises."""

    name = "broken"

    def process(self, image: Tensor, gamma: Tensor, lift: Tensor) -> Output:
        """Raise."""
        raise RuntimeError(f"no memory left\nat gamma {float(gamma.detach()):.2f}")


class Slow(Power):
    """Takes 50 ms, for runs that are to be killed."""

    name = "slow"

    def process(self, image: Tensor, gamma: Tensor, lift: Tensor) -> Output:
        """As Power, later."""
        time.sleep(0.05)
        return super().process(image, gamma, lift)


class Waiting(Power):
    """Waits, a minute at most, for the file that the environment names, if it names one: one of two processes."""

    name = "waiting"
    WAIT_FOR = "TINY_PIPELINES_WAIT_FOR"

    def process(self, image: Tensor, gamma: Tensor, lift: Tensor) -> Output:
        """As Power, when the file is there."""
        deadline = time.monotonic() + 60.0
        while self.WAIT_FOR in os.environ and not Path(os.environ[self.WAIT_FOR]).exists():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{os.environ[self.WAIT_FOR]}: not there after a minute")
            time.sleep(0.05)
        return super().process(image, gamma, lift)


def register(monkeypatch: Any = None) -> None:
    """Make them known under ``test.<name>``; undone by monkeypatch where one is given."""
    for cls in (Power, Steps, Fragile, Broken, Slow):
        key, target = f"test.{cls.name}", f"{cls.__module__}:{cls.__name__}"
        if monkeypatch is not None:
            monkeypatch.setitem(pipelines.registry.BUILT_INS, key, target)
        else:
            pipelines.registry.BUILT_INS[key] = target


def scene(height: int = 32, width: int = 40, seed: int = 0) -> Tensor:
    """A smooth ramp with some texture, (1, 3, H, W) in [0.05, 0.95]."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0.1, 0.85, width).expand(1, 3, height, width)
    return (ramp + 0.08 * torch.rand(1, 3, height, width, generator=generator)).clamp(0.05, 0.95)


def make_pictures(folder: Path, sizes: tuple[tuple[int, int], ...] = ((32, 40), (40, 32))) -> None:
    """Inputs whose ``** TRUE_GAMMA`` is the reference, as PNG below ``folder``."""
    for number, (height, width) in enumerate(sizes):
        clean = scene(height, width, seed=number)
        write_image(folder / "in" / f"p{number}.png", clean ** (1.0 / TRUE_GAMMA))
        write_image(folder / "ref" / f"p{number}.png", clean)


def make_recipe(folder: Path, **sections: Any) -> Recipe:
    """A loaded recipe on pictures of ``folder`` (made when missing); sections replace the defaults below."""
    if not (folder / "in").exists():
        make_pictures(folder)
    data: dict[str, Any] = {
        "name": "tiny",
        "pipeline": {"name": "test.power", "search": {"gamma": {}, "lift": {}}},
        "images": {"input": "in/*.png", "reference": "ref/*.png"},
        "search": {"strategy": "optuna", "sampler": "tpe", "trials": 6, "seed": 3},
        **sections,
    }
    return load_recipe(data, folder=folder)


Sections = Callable[..., Recipe]
