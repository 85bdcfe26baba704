"""Mixed parameters as coordinates for a kernel: numbers in the unit cube, choices one-hot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuner.parameter_space import Dimension, ParameterSpace
from tuner.recipe import Scalar

_ONE_HOT = math.sqrt(0.5)
"""So that two different choices are at distance 1: a Hamming distance, with a lengthscale for each parameter."""


class Encoding:
    """Points of a search space as rows of E coordinates: one for a number, one for each choice of a parameter.

    A number's coordinate is linear in it, or in its logarithm, from 0 at the lower to 1 at the upper bound.

    Attributes:
        owners: (E,) the parameter that each coordinate belongs to.
        continuous: (E,) True where a coordinate may take any value in [0, 1].
        categorical: (E,) True where it stands for a choice.
    """

    def __init__(self, space: ParameterSpace) -> None:
        self._dimensions = space.dimensions
        owners: list[int] = []
        self._slices: list[slice] = []
        for number, dimension in enumerate(self._dimensions):
            width = len(dimension.choices) if dimension.choices is not None else 1
            self._slices.append(slice(len(owners), len(owners) + width))
            owners += [number] * width
        self.owners = np.array(owners)
        self.continuous = np.array([self._dimensions[owner].continuous for owner in owners])
        self.categorical = np.array([self._dimensions[owner].choices is not None for owner in owners])

    def encode(self, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Parameter values to (N, E)."""
        rows = np.zeros((len(points), len(self.owners)))
        for row, values in zip(rows, points, strict=True):
            for dimension, part in zip(self._dimensions, self._slices, strict=True):
                value = values[dimension.name]
                if dimension.choices is not None:
                    row[part.start + _place(dimension, value)] = _ONE_HOT
                else:
                    row[part] = share(dimension, value)
        return rows

    def decode(self, row: np.ndarray) -> dict[str, Scalar]:
        """The parameter values of one (E,) row; whole numbers are rounded, of choices the largest coordinate wins."""
        values: dict[str, Scalar] = {}
        for dimension, part in zip(self._dimensions, self._slices, strict=True):
            if dimension.choices is not None:
                values[dimension.name] = dimension.choices[int(np.argmax(row[part]))]
            else:
                values[dimension.name] = _value(dimension, float(row[part][0]))
        return values

    def valid(self, rows: np.ndarray) -> np.ndarray:
        """The rows (N, E) moved onto points that :meth:`decode` gives: what is asked is what will be evaluated."""
        return self.encode([self.decode(row) for row in rows])

    def from_cube(self, cube: np.ndarray) -> np.ndarray:
        """(N, D) of the unit cube, choices in equal shares, to (N, E)."""
        return self.encode([{d.name: d.at(float(u)) for d, u in zip(self._dimensions, p, strict=True)} for p in cube])

    def by_parameter(self, coordinates: np.ndarray) -> np.ndarray:
        """(E,) numbers to (D,): that of each parameter's first coordinate."""
        return coordinates[[part.start for part in self._slices]]

    def moved(self, row: np.ndarray, rng: np.random.Generator, spread: np.ndarray, chance: float) -> np.ndarray:
        """A neighbour of a row: each parameter moved with ``chance``, at least one. Not yet :meth:`valid`.

        Numbers move by a normal step of ``spread`` (D,) in the unit cube, whole ones by at least one; choices change.
        """
        new = row.copy()
        moving = rng.random(len(self._dimensions)) < chance
        moving[rng.integers(len(self._dimensions))] = True
        for number in np.flatnonzero(moving):
            dimension, part = self._dimensions[number], self._slices[number]
            if dimension.choices is not None:
                new[part] = 0.0
                new[part.start + rng.integers(part.stop - part.start)] = _ONE_HOT
                continue
            step = spread[number] * rng.standard_normal()
            if dimension.integer:
                whole = 1.0 / max(dimension.high - dimension.low, 1.0)
                step = math.copysign(max(abs(step), whole), step)
            new[part] = np.clip(new[part] + step, 0.0, 1.0)
        return new

    def neighbours(self, row: np.ndarray) -> np.ndarray:
        """All rows that differ in one choice, or by one in one whole number: (B, E)."""
        values = self.decode(row)
        found = []
        for dimension in self._dimensions:
            value = values[dimension.name]
            others: list[Scalar] = []
            if dimension.choices is not None:
                others = [choice for choice in dimension.choices if choice is not value and choice != value]
            elif dimension.integer:
                others = [whole for whole in (value - 1, value + 1) if dimension.low <= whole <= dimension.high]  # type: ignore[operator]
            found += [{**values, dimension.name: other} for other in others]
        return self.encode(found) if found else np.zeros((0, len(row)))


def share(dimension: Dimension, value: Any) -> float:
    """Where a number lies between its bounds, [0, 1]; logarithmically on a logarithmic scale."""
    if dimension.high == dimension.low:
        return 0.5
    number = float(value)
    if dimension.log:
        place = math.log(number / dimension.low) / math.log(dimension.high / dimension.low)
    else:
        place = (number - dimension.low) / (dimension.high - dimension.low)
    return min(max(place, 0.0), 1.0)


def _value(dimension: Dimension, place: float) -> Scalar:
    place = min(max(place, 0.0), 1.0)
    if dimension.log:
        value = dimension.low * (dimension.high / dimension.low) ** place
    else:
        value = dimension.low + place * (dimension.high - dimension.low)
    value = min(max(value, dimension.low), dimension.high)
    return round(value) if dimension.integer else float(value)


def _place(dimension: Dimension, value: Any) -> int:
    assert dimension.choices is not None
    for index, choice in enumerate(dimension.choices):
        # True == 1 in Python, not here.
        if isinstance(choice, bool) == isinstance(value, bool) and choice == value:
            return index
    raise ValueError(f"{dimension.name}: {value!r} is none of {dimension.choices}")
