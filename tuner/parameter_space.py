"""The searched parameters: their bounds, defaults and scales, and the way to and from the unit cube."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from pipelines.contract import Pipeline
from pipelines.parameters import Choice
from pixelperfect_models.errors import UserError
from tuner.recipe import PipelineSpec, Scalar


@dataclass(frozen=True)
class Dimension:
    """One searched parameter.

    Attributes:
        name: the pipeline's name of it.
        low, high: bounds in the parameter's own unit, both allowed. 0 and 1 for choices.
        log: linear in the logarithm (needs low > 0).
        integer: whole numbers only.
        choices: the values to choose from, or None for a number.
        default: the pipeline's default, moved into the bounds where the recipe narrowed them.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    integer: bool = False
    choices: tuple[Scalar, ...] | None = None
    default: Scalar = 0.0

    @property
    def continuous(self) -> bool:
        """True for a number that may take any value between the bounds."""
        return self.choices is None and not self.integer

    @property
    def distribution(self) -> BaseDistribution:
        """What Optuna calls this dimension."""
        if self.choices is not None:
            return CategoricalDistribution(self.choices)
        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def at(self, unit: float) -> Scalar:
        """The value at ``unit`` in [0, 1]. Choices and whole numbers take equal shares of it (log: of its scale)."""
        if self.choices is not None:
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        if self.integer:
            # Half a step beyond either bound, so that the outermost numbers get a full share.
            low, high = self.low - 0.5, self.high + 0.5
            value = low * (high / low) ** unit if self.log else low + unit * (high - low)
            return int(min(max(round(value), self.low), self.high))
        value = self.low * (self.high / self.low) ** unit if self.log else self.low + unit * (self.high - self.low)
        return float(min(max(value, self.low), self.high))

    def points(self, count: int) -> list[Scalar]:
        """Evenly spaced values (log: evenly in the logarithm), both bounds among them: ``count`` of them for a
        continuous parameter, at most so many for whole numbers, and all choices."""
        if self.choices is not None:
            return list(self.choices)
        units = np.linspace(0.0, 1.0, count)
        return list(dict.fromkeys(self.at(float(unit)) for unit in units))


class ParameterSpace:
    """The box that is searched, and the values that stay fixed.

    The *unit cube* has one coordinate in [0, 1] for each searched parameter, linear in the parameter or in its
    logarithm. A step of 0.05 there is 5 % of the searched range, whatever the parameter's unit.

    Args:
        dimensions: the searched parameters, in the recipe's order.
        fixed: parameters held at a value.
    """

    def __init__(self, dimensions: Sequence[Dimension], fixed: Mapping[str, Scalar] | None = None) -> None:
        self.dimensions = tuple(dimensions)
        self.fixed = dict(fixed or {})

    @classmethod
    def of(cls, pipeline: Pipeline, spec: PipelineSpec) -> ParameterSpace:
        """The space of a loaded recipe (``low``, ``high``, ``log`` or ``choices`` filled in for every parameter).

        Raises:
            UserError: no whole number lies within the bounds of an integer parameter.
        """
        dimensions = []
        for name, space in spec.search.items():
            parameter = pipeline.parameters[name]
            if isinstance(parameter, Choice):
                choices = tuple(space.choices or parameter.choices)
                default = parameter.default if parameter.default in choices else choices[0]
                dimensions.append(Dimension(name, choices=choices, default=default))
                continue
            low = parameter.low if space.low is None else space.low
            high = parameter.high if space.high is None else space.high
            if parameter.integer:
                low, high = math.ceil(low), math.floor(high)
                if low > high:
                    raise UserError(f"pipeline.search.{name}: no whole number between {space.low} and {space.high}")
            log = parameter.log if space.log is None else space.log
            default = min(max(parameter.default, low), high)
            default = int(default) if parameter.integer else float(default)
            dimensions.append(Dimension(name, low, high, bool(log), parameter.integer, None, default))
        return cls(dimensions, spec.fixed)

    @property
    def names(self) -> tuple[str, ...]:
        """The searched parameters."""
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Name to Optuna distribution."""
        return {dimension.name: dimension.distribution for dimension in self.dimensions}

    def defaults(self) -> dict[str, Scalar]:
        """The pipeline's defaults of the searched parameters, within the bounds."""
        return {dimension.name: dimension.default for dimension in self.dimensions}

    def full(self, searched: Mapping[str, Any]) -> dict[str, Any]:
        """Fixed and searched values together: what the pipeline is called with."""
        return {**self.fixed, **searched}

    def at(self, unit: Sequence[float] | np.ndarray) -> dict[str, Scalar]:
        """The parameter values at a point (D,) of the unit cube."""
        return {d.name: d.at(float(u)) for d, u in zip(self.dimensions, unit, strict=True)}

    def to_unit(self, values: Mapping[str, Any]) -> torch.Tensor:
        """The point (D,) float64 of the unit cube at these values of continuous parameters."""
        unit = []
        for dimension in self.dimensions:
            value = float(values[dimension.name])
            if dimension.log:
                share = math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
            else:
                share = (value - dimension.low) / (dimension.high - dimension.low)
            unit.append(min(max(share, 0.0), 1.0))
        return torch.tensor(unit, dtype=torch.float64)

    def from_unit(self, unit: torch.Tensor) -> dict[str, torch.Tensor]:
        """Parameter values as 0-dim float32 tensors that carry the gradient of ``unit``.

        Args:
            unit: (D,) float64 in [0, 1], for continuous parameters only.

        Returns:
            name to value; never outside the bounds, not even by rounding, and with the gradient intact on a bound.
        """
        values = {}
        for dimension, share in zip(self.dimensions, unit, strict=True):
            if dimension.log:
                exact = dimension.low * torch.exp(share * math.log(dimension.high / dimension.low))
            else:
                exact = dimension.low + share * (dimension.high - dimension.low)
            single = exact.to(torch.float32)
            inside = single.detach().clamp(*_float32_bounds(dimension.low, dimension.high))
            # A plain clamp would stop the gradient where rounding crossed the bound.
            values[dimension.name] = single + (inside - single.detach())
        return values

    def numbers(self, values: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Plain numbers for float32 tensors: the shortest decimals that are the same in float32, within the bounds."""
        numbers = {}
        for dimension in self.dimensions:
            # Not str(): that follows numpy's print options, which an import elsewhere may have changed.
            single = np.float32(values[dimension.name].detach().item())
            short = float(np.format_float_scientific(single, unique=True))
            numbers[dimension.name] = min(max(short, dimension.low), dimension.high)
        return numbers


def _float32_bounds(low: float, high: float) -> tuple[float, float]:
    # The outermost float32 numbers within [low, high]; the bounds themselves where none lies between.
    inner_low, inner_high = np.float32(low), np.float32(high)
    if float(inner_low) < low:
        inner_low = np.nextafter(inner_low, np.float32(np.inf))
    if float(inner_high) > high:
        inner_high = np.nextafter(inner_high, np.float32(-np.inf))
    return (float(inner_low), float(inner_high)) if inner_low <= inner_high else (low, high)
