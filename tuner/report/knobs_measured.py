"""Which parameter moves which distortion type round the best parameters: by trying, one parameter at a time.

A search along a gradient moves all parameters together, so its trials cannot tell them apart as those of a sampler can
(:mod:`tuner.report.knobs`). There the pipeline is run again beside the best parameters: central differences over a
tenth of each searched range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuner.parameter_space import Dimension
from tuner.report.knobs import Effect, Knobs, unit_of

STEP = 0.05
"""Distance from the best parameters on either side, as a share of the searched range."""

Measure = Callable[[Mapping[str, Any]], Mapping[str, float] | None]
"""Searched parameters to target and its value; None where the pipeline fails there."""


def evaluations(dimensions: Sequence[Dimension]) -> int:
    """How often :func:`local_effects` runs the pipeline on each picture."""
    return 1 + sum(2 if d.choices is None else len(d.choices) - 1 for d in dimensions)


def local_effects(dimensions: Sequence[Dimension], best: Mapping[str, Any], measure: Measure) -> Knobs:
    """Change of each target for a step of a tenth of a parameter's range (:class:`Effect`, ``change``); of a choice,
    as from one choice to another.

    Args:
        dimensions: the searched parameters.
        best: where to look; every searched parameter.
        measure: runs pipeline and judge. A setting where it fails is left out: a difference is one-sided then.
    """
    base = measure(best)
    effects: dict[str, dict[str, Effect]] = {}
    if base is None:
        return Knobs(effects, {})
    for dimension in dimensions:
        if dimension.choices is not None:
            effects[dimension.name] = _choice(dimension, best, base, measure)
        else:
            effects[dimension.name] = _number(dimension, best, base, measure)
    return Knobs(effects, {})


def _number(
    dimension: Dimension, best: Mapping[str, Any], base: Mapping[str, float], measure: Measure
) -> dict[str, Effect]:
    value = best[dimension.name]
    unit = unit_of(dimension, value)
    ends = [dimension.at(min(max(unit + side * STEP, 0.0), 1.0)) for side in (-1, 1)]
    if dimension.integer:
        ends = [max(dimension.low, min(int(ends[0]), value - 1)), min(dimension.high, max(int(ends[1]), value + 1))]
    found = [base if end == value else measure({**best, dimension.name: end}) for end in ends]
    # On a bound, or where the pipeline fails beyond, there is only one side.
    ends = [value if at is None else end for end, at in zip(ends, found, strict=True)]
    below, above = (base if at is None else at for at in found)
    step = unit_of(dimension, ends[1]) - unit_of(dimension, ends[0])
    share = 2.0 * STEP / step if step > 0 else 0.0
    effects = {}
    for name, here in base.items():
        heights = {ends[0]: below[name], value: here, ends[1]: above[name]}
        low, high = min(heights, key=heights.__getitem__), max(heights, key=heights.__getitem__)
        change = share * (above[name] - below[name])
        shape = "rises" if change > 0 else "falls"
        if value not in ends and value == high:
            shape = "peaks"
        if value not in ends and value == low:
            shape = "dips"
        effects[name] = Effect(change, share * (heights[high] - heights[low]), 0.0, shape, low, high)
    return effects


def _choice(
    dimension: Dimension, best: Mapping[str, Any], base: Mapping[str, float], measure: Measure
) -> dict[str, Effect]:
    assert dimension.choices is not None
    mine = best[dimension.name]
    tried = {c: base if c == mine else measure({**best, dimension.name: c}) for c in dimension.choices}
    levels = {choice: found for choice, found in tried.items() if found is not None}
    order = list(levels)
    effects = {}
    for name in base:
        low, high = (pick(order, key=lambda choice: levels[choice][name]) for pick in (min, max))
        reach = levels[high][name] - levels[low][name]
        sign = 1.0 if order.index(high) >= order.index(low) else -1.0
        effects[name] = Effect(sign * reach, reach, 0.0, "choice", low, high)
    return effects
