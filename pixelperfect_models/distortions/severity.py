"""From intensity (0..1, the same scale for every type) to a type's own strength.

The curves were measured by :mod:`pixelperfect_models.distortions.calibrate` and are packaged as ``curves.json``:
intensity 0.1 is just visible, 1.0 severe, and equal intensities of different types are equally far from the
pristine photo by the consensus of four full-reference metrics.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import overload

import numpy as np

from pixelperfect_models.distortions.table import DISTORTIONS, Distortion
from pixelperfect_models.errors import UserError, suggest

CURVES_FILE = "curves.json"

BEYOND = 2.0
"""The highest intensity: 1 is the end of the maps' scale, and 2 the strongest a type is used at."""


@dataclass(frozen=True)
class Curve:
    """Strength over intensity of one type, piecewise linear.

    Attributes:
        intensity: rising knots, the first 0.
        strength: strength at each knot, not falling; the first 0 (no distortion).
        cap: highest intensity this type reaches within its range of strengths; above it the strength stays.
    """

    intensity: np.ndarray
    strength: np.ndarray
    cap: float = 1.0


def find(name: str) -> Distortion:
    """The distortion type called ``name``. Raises UserError (with the nearest name) for an unknown one."""
    if name not in DISTORTIONS:
        raise UserError(f"{name}: no such distortion type{suggest(name, DISTORTIONS)}")
    return DISTORTIONS[name]


def _default_curve(distortion: Distortion) -> Curve:
    # A type added to the table before the next calibration: its range, linear or logarithmic as it declares.
    intensity = np.concatenate([[0.0], np.linspace(0.1, 1.0, 10)])
    fraction = (intensity[1:] - 0.1) / 0.9
    low, high = distortion.strength_low, distortion.strength_high
    if distortion.log and low > 0:
        strength = low * (high / low) ** fraction
    else:
        strength = low + (high - low) * fraction
    return Curve(intensity, np.concatenate([[0.0], strength]))


@cache
def _packaged() -> dict[str, Curve]:
    source = files("pixelperfect_models.distortions").joinpath(CURVES_FILE)
    if not source.is_file():  # only while a new checkout is being calibrated
        return {}
    types = json.loads(source.read_text(encoding="utf-8"))["types"]
    return {
        name: Curve(np.asarray(entry["intensity"]), np.asarray(entry["strength"]), float(entry["cap"]))
        for name, entry in types.items()
    }


@cache
def curve(name: str) -> Curve:
    """The severity curve of one type; a type not yet calibrated gets its declared range.

    Raises:
        UserError: unknown type (names the nearest).
    """
    distortion = find(name)
    return _packaged().get(name) or _default_curve(distortion)


def cap(name: str) -> float:
    """Highest intensity type ``name`` can reach, in (0, 1]. Raises UserError for an unknown type."""
    return curve(name).cap


@overload
def strength(name: str, intensity: float) -> float: ...
@overload
def strength(name: str, intensity: np.ndarray) -> np.ndarray: ...
def strength(name: str, intensity: float | np.ndarray) -> float | np.ndarray:
    """Strength of type ``name`` (its own unit) at ``intensity`` in [0, 2]; 0 gives 0.

    A number gives a number, an array an array of its shape (float32). Intensities from :func:`cap` to 1 give the
    strength at the cap. Above 1, where the scale of the maps has ended, the strength goes on in equal ratios to
    the type's ``strength_high`` at 2.

    Raises:
        UserError: unknown type.
        ValueError: intensity outside [0, 2] or not a number.
    """
    values = np.asarray(intensity, dtype=np.float64)
    if not (np.all(values >= 0.0) and np.all(values <= BEYOND)):
        raise ValueError(f"intensity of {name}: {values.min():g} to {values.max():g}, expected 0 to {BEYOND:g}")
    knots = curve(name)
    result = np.interp(values, knots.intensity, knots.strength)
    if np.any(values > 1.0):
        top = knots.strength[-1]
        result = result * (max(find(name).strength_high, top) / top) ** np.clip(values - 1.0, 0.0, 1.0)
    return float(result) if result.ndim == 0 else result.astype(np.float32)
