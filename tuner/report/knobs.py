"""Which parameter moves which distortion type, and which way: a response surface fitted on a run's trials.

Each map's mean signed excess (and each measure that the recipe looks at) is modelled as a sum of one curve a parameter:
a parabola over the unit scale that the search sees (logarithmic where the parameter is), or one level for each choice.
The coefficients are fitted by ridge regression, the strength of the ridge chosen for every target by the leave-one-out
error, which is known in closed form. A curve is then read over the span in which nine tenths of the trials lie, so that
nothing is said of settings that were not tried. What parameters do only together is not modelled; the leave-one-out R²
says how much that leaves unexplained.

Sources: second-order response surfaces, G. Box and K. Wilson, *On the Experimental Attainment of Optimum Conditions*,
J. R. Stat. Soc. B 13, 1951; leave-one-out error of ridge regression, G. Golub, M. Heath and G. Wahba, *Generalized
Cross-Validation as a Method for Choosing a Good Ridge Parameter*, Technometrics 21, 1979.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.parameter_space import Dimension

RIDGES = np.logspace(-4, 3, 15)
"""Strengths tried, for standardised columns; the trial count multiplies them."""

SPAN = (0.05, 0.95)
"""A curve is read between these quantiles of the settings tried."""

MONOTONE = 0.6
"""A curve whose ends differ by less than this share of its whole rise and fall turns around: neither more nor less."""

_CURVE_POINTS = 41


@dataclass(frozen=True)
class Effect:
    """What one parameter does to one target.

    Attributes:
        change: target at the upper end of the span less at its lower end; of a choice, between the two levels that
            differ most, the later in the recipe less the earlier. In the target's own units.
        reach: largest less smallest value along the curve, >= abs(change).
        error: standard error of ``change``; 0 where it was measured.
        shape: ``rises``, ``falls``, ``peaks`` (highest in between), ``dips`` or ``choice``.
        low, high: where the target is lowest and highest, in the parameter's own units.
    """

    change: float
    reach: float
    error: float
    shape: str
    low: object
    high: object

    @property
    def sure(self) -> bool:
        """True where the change is more than twice its standard error."""
        return self.reach > 2.0 * self.error


@dataclass(frozen=True)
class Knobs:
    """Effects of parameters on targets.

    Attributes:
        effects: parameter to target to effect.
        explained: target to the share of its variance that the model predicts for a trial left out (R², at most 1);
            empty where the effects were measured.
    """

    effects: Mapping[str, Mapping[str, Effect]]
    explained: Mapping[str, float]


def response_surface(
    dimensions: Sequence[Dimension], settings: Sequence[Mapping[str, object]], targets: Mapping[str, Sequence[float]]
) -> Knobs:
    """Fit the additive response surface and read each parameter's effect off it.

    Args:
        dimensions: the searched parameters.
        settings: their values in each of N trials; repeated settings count once.
        targets: name to the N values of it.
    """
    chosen = _distinct(dimensions, settings)
    columns, owners = _columns(dimensions, [settings[i] for i in chosen])
    names = list(targets)
    values = np.array([[targets[name][i] for name in names] for i in chosen], dtype=float).reshape(len(chosen), -1)
    scale = columns.std(axis=0)
    used = np.flatnonzero(scale > 1e-9)
    model = _Ridge((columns[:, used] - columns[:, used].mean(axis=0)) / scale[used], values)
    effects: dict[str, dict[str, Effect]] = {}
    for place, dimension in enumerate(dimensions):
        settings_of = [settings[i][dimension.name] for i in chosen]
        at, curve = _curve_columns(dimension, settings_of)
        mine = np.flatnonzero(owners[used] == place)  # columns of the model that are this parameter's
        own = used[mine]
        first = int(np.flatnonzero(owners == place)[0])
        shown = curve[:, own - first] / scale[own]
        effects[dimension.name] = {
            name: _read(dimension, at, shown, mine, model, target) for target, name in enumerate(names)
        }
    return Knobs(effects, dict(zip(names, model.explained, strict=True)))


def _distinct(dimensions: Sequence[Dimension], settings: Sequence[Mapping[str, object]]) -> list[int]:
    first: dict[tuple[object, ...], int] = {}
    for index, setting in enumerate(settings):
        first.setdefault(tuple(setting[dimension.name] for dimension in dimensions), index)
    return sorted(first.values())


def unit_of(dimension: Dimension, value: object) -> float:
    """A number's place between the bounds, 0 to 1, on the dimension's scale."""
    low, high, number = float(dimension.low), float(dimension.high), float(value)  # type: ignore[arg-type]
    if high <= low:
        return 0.5
    if dimension.log:
        low, high, number = np.log(low), np.log(high), np.log(max(number, low))
    return float(min(max((number - low) / (high - low), 0.0), 1.0))


def _value_at(dimension: Dimension, unit: float) -> float:
    """The number at a place between the bounds; whole numbers are not rounded, as a curve goes on between them."""
    if dimension.log:
        return float(dimension.low * (dimension.high / dimension.low) ** unit)
    return float(dimension.low + unit * (dimension.high - dimension.low))


def _features(dimension: Dimension, values: Sequence[object]) -> np.ndarray:
    if dimension.choices is not None:
        levels = [str(choice) for choice in dimension.choices]
        return np.array([[float(str(value) == level) for level in levels] for value in values])
    unit = np.array([unit_of(dimension, value) for value in values])
    return np.stack([unit, (2.0 * unit - 1.0) ** 2], axis=1)  # the square about the middle: less like the line


def _columns(
    dimensions: Sequence[Dimension], settings: Sequence[Mapping[str, object]]
) -> tuple[np.ndarray, np.ndarray]:
    blocks = [_features(d, [setting[d.name] for setting in settings]) for d in dimensions]
    owners = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
    return np.concatenate(blocks, axis=1), owners


def _curve_columns(dimension: Dimension, values: Sequence[object]) -> tuple[list[object], np.ndarray]:
    """The settings at which a curve is read, and their columns."""
    if dimension.choices is not None:
        tried = {str(value) for value in values}
        at: list[object] = [choice for choice in dimension.choices if str(choice) in tried]
        return at, _features(dimension, at)
    low, high = np.quantile([unit_of(dimension, value) for value in values], SPAN)
    at = [_value_at(dimension, unit) for unit in np.linspace(low, high, _CURVE_POINTS)]
    return at, _features(dimension, at)


def _read(
    dimension: Dimension, at: list[object], shown: np.ndarray, mine: np.ndarray, model: _Ridge, target: int
) -> Effect:
    curve = shown @ model.weights[mine, target]
    lowest, highest = int(curve.argmin()), int(curve.argmax())
    reach = float(curve[highest] - curve[lowest])
    if dimension.choices is not None:
        ends, shape = (min(lowest, highest), max(lowest, highest)), "choice"
    else:
        ends = (0, len(at) - 1)
        change = float(curve[-1] - curve[0])
        if abs(change) >= MONOTONE * reach:
            shape = "rises" if change > 0 else "falls"
        else:
            shape = "peaks" if 0 < highest < len(at) - 1 else "dips"
    widest = shown[highest] - shown[lowest]
    change = float(curve[ends[1]] - curve[ends[0]])
    return Effect(change, reach, model.error(widest, mine, target), shape, at[lowest], at[highest])


class _Ridge:
    """Ridge regression of several targets, each with the strength of least leave-one-out error.

    Args:
        columns: (N, P), standardised.
        values: (N, T).
    """

    def __init__(self, columns: np.ndarray, values: np.ndarray) -> None:
        count = len(columns)
        left, singular, right = np.linalg.svd(columns, full_matrices=False)
        centred = values - values.mean(axis=0)
        turned = left.T @ centred
        total = np.maximum((centred**2).sum(axis=0), 1e-18)
        best = np.full(values.shape[1], np.inf)
        self.weights = np.zeros((columns.shape[1], values.shape[1]))
        self._spread = np.zeros(values.shape[1])
        shrinks = np.zeros((len(singular), values.shape[1]))
        for ridge in RIDGES * count:
            kept = singular**2 / (singular**2 + ridge)
            fitted = left @ (kept[:, None] * turned)
            leverage = 1.0 / count + (left**2) @ kept
            residual = centred - fitted
            error = ((residual / np.maximum(1.0 - leverage, 1e-6)[:, None]) ** 2).sum(axis=0)
            better = error < best
            best = np.where(better, error, best)
            shrink = singular / (singular**2 + ridge)
            self.weights[:, better] = (right.T @ (shrink[:, None] * turned))[:, better]
            shrinks[:, better] = shrink[:, None]
            freedom = max(1.0, count - 1.0 - kept.sum())
            self._spread[better] = np.sqrt((residual**2).sum(axis=0) / freedom)[better]
        self._right, self._shrinks = right, shrinks
        self.explained = [float(max(0.0, 1.0 - e / t)) if t > 1e-17 else 0.0 for e, t in zip(best, total, strict=True)]

    def error(self, contrast: np.ndarray, mine: np.ndarray, target: int) -> float:
        """Standard error of a difference between two points of a curve: ``contrast`` in the columns ``mine``."""
        along = (self._right[:, mine] @ contrast) * self._shrinks[:, target]
        return float(self._spread[target] * np.sqrt((along**2).sum()))
