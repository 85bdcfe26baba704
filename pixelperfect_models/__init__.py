"""The judges: distortion engine, networks, losses, training, evaluation and shipped weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixelperfect_models.judge import PixelPerfect, Reference
    from pixelperfect_models.loss import PerceptualLoss
    from pixelperfect_models.map_statistics import Penalty

__all__ = ["Penalty", "PerceptualLoss", "PixelPerfect", "Reference"]

_HOMES = {"PixelPerfect": "judge", "Reference": "judge", "PerceptualLoss": "loss", "Penalty": "map_statistics"}


def __getattr__(name: str) -> Any:
    # Importing torch and timm takes seconds: `tuner --help` and the recipe checks do without them.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pixelperfect_models.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pixelperfect_models' has no attribute '{name}'")
