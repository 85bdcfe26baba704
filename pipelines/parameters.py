"""The two kinds of parameter a pipeline has: bounded numbers and choices."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from pixelperfect_models.errors import UserError, suggest

Value: TypeAlias = Any
"""A number, a 0-dim tensor, or one of a choice's values."""

ROUNDING = 1e-5
"""Bounds are widened by this fraction: a float32 step that ends on a bound lands beside its float64 value."""


@dataclass(frozen=True)
class Parameter:
    """A number between two bounds.

    Attributes:
        low, high: the bounds, both allowed; low < high.
        default: the value an engineer would pick by eye; low <= default <= high.
        unit: such as "px", "intensity" (of [0, 1]) or "8-bit levels"; "" for a pure number.
        log: search it on a logarithmic scale; needs low > 0.
        doc: what it does and what a larger value brings, one sentence.
        integer: whole numbers only.

    Raises:
        ValueError: when these do not hold.
    """

    low: float
    high: float
    default: float
    unit: str = ""
    log: bool = False
    doc: str = ""
    integer: bool = False

    def __post_init__(self) -> None:
        for key in ("low", "high", "default"):
            number = getattr(self, key)
            if isinstance(number, bool) or not isinstance(number, numbers.Real) or not math.isfinite(number):
                raise ValueError(f"Parameter: {key} = {number!r}, expected a finite number")
            if self.integer and not float(number).is_integer():
                raise ValueError(f"Parameter: {key} = {number!r}, expected a whole number (integer=True)")
        if not self.low < self.high:
            raise ValueError(f"Parameter: low = {self.low!r} is not below high = {self.high!r}")
        if not self.low <= self.default <= self.high:
            raise ValueError(f"Parameter: default = {self.default!r} is outside [{self.low!r}, {self.high!r}]")
        if self.log and self.low <= 0:
            raise ValueError(f"Parameter: low = {self.low!r}, expected low > 0 on a logarithmic scale")

    def check(self, value: Any, label: str = "parameter") -> Value:
        """Return ``value`` as a float, an int (``integer``) or, unchanged, a 0-dim tensor.

        Raises:
            UserError: not a number, not whole, or out of bounds; starts with ``label``.
        """
        tensor = isinstance(value, torch.Tensor)
        if tensor and (value.numel() != 1 or value.ndim != 0 or value.dtype in (torch.bool, torch.complex64)):
            raise UserError(f"{label} is a tensor of shape {tuple(value.shape)}, expected one number (0-dim)")
        if not tensor and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
            raise UserError(f"{label} = {value!r}, expected a number in {self.bounds}")
        number = float(value.detach() if tensor else value)
        # On a log scale a fraction of the range could reach down to zero, so the bound itself is widened
        # there.
        slack_low, slack_high = (
            (self.low * ROUNDING, self.high * ROUNDING) if self.log else ((self.high - self.low) * ROUNDING,) * 2
        )
        if not self.low - slack_low <= number <= self.high + slack_high:  # NaN is refused too
            raise UserError(f"{label} = {number:.6g} is out of bounds, expected {self.bounds}")
        if self.integer:
            if number != round(number):
                raise UserError(f"{label} = {number:.6g}, expected a whole number in {self.bounds}")
            return round(number)
        return value if tensor else number

    @property
    def bounds(self) -> str:
        """The bounds and unit as text, such as ``[0.5, 6] px``."""
        return f"[{self.low:.6g}, {self.high:.6g}]" + (f" {self.unit}" if self.unit else "")


@dataclass(frozen=True)
class Choice:
    """One of a few named or numbered values.

    Attributes:
        choices: at least one, all different; strings, numbers or booleans.
        default: one of them.
        doc: what it chooses, one sentence.
        unit: as for :class:`Parameter`.

    Raises:
        ValueError: when these do not hold.
    """

    choices: tuple[str | int | float | bool, ...]
    default: str | int | float | bool
    doc: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.choices, str) or not isinstance(self.choices, (tuple, list)) or not self.choices:
            raise ValueError(f"Choice: choices = {self.choices!r}, expected a tuple with at least one value")
        object.__setattr__(self, "choices", tuple(self.choices))
        for choice in self.choices:
            if not isinstance(choice, (str, int, float, bool)):
                raise ValueError(f"Choice: {choice!r} is a {type(choice).__name__}, expected text, number or bool")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError(f"Choice: choices = {self.choices!r} holds a value twice")
        if self.default not in self.choices:
            raise ValueError(f"Choice: default = {self.default!r} is none of {self.choices!r}")

    def check(self, value: Any, label: str = "parameter") -> Value:
        """Return the choice that equals ``value`` (``7.0`` gives ``7``); UserError when there is none."""
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            value = value.item()
        known_kind = isinstance(value, (str, numbers.Real))  # an array's == would not be one bool
        for choice in self.choices if known_kind else ():
            if isinstance(choice, bool) == isinstance(value, bool) and choice == value:
                return choice
        known = ", ".join(str(choice) for choice in self.choices)
        hint = suggest(value, [str(choice) for choice in self.choices]) if isinstance(value, str) else ""
        raise UserError(f"{label} = {value!r} is none of its choices{hint} (choices: {known})")

    @property
    def bounds(self) -> str:
        """The choices as text, such as ``one of 3, 5, 7 px``."""
        return "one of " + ", ".join(str(choice) for choice in self.choices) + (f" {self.unit}" if self.unit else "")


Parameters: TypeAlias = dict[str, Parameter | Choice]
"""A pipeline's parameters by name, in the order in which they are shown."""
