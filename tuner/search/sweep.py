"""Sweeps: one parameter at a time over its range, and two-parameter grids, all else at the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from pixelperfect_models.errors import UserError, suggest
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe import Scalar
from tuner.recipe_search import SweepSearch
from tuner.search.base import Task
from tuner.search.sequences import PointSampler


@dataclass(frozen=True)
class SweepPoint:
    """One evaluation of a sweep: ``axes`` are the parameters that are moved, ``parameters`` all that are searched."""

    axes: tuple[str, ...]
    parameters: dict[str, Scalar]


def plan(space: ParameterSpace, spec: SweepSearch) -> list[SweepPoint]:
    """All points in the order in which they are evaluated: a line for each parameter, then the pairs' grids."""
    dimensions = {dimension.name: dimension for dimension in space.dimensions}
    defaults = space.defaults()
    points = [
        SweepPoint((name,), {**defaults, name: value})
        for name, dimension in dimensions.items()
        for value in dimension.points(spec.points)
    ]
    for first, second in spec.pairs:
        grid = product(dimensions[first].points(spec.pair_points), dimensions[second].points(spec.pair_points))
        points += [SweepPoint((first, second), {**defaults, first: a, second: b}) for a, b in grid]
    return points


class Sweep:
    """Evaluates :func:`plan`, after the defaults."""

    shared = True

    def check(self, objective: Objective, space: ParameterSpace, spec: SweepSearch) -> None:
        """Raise UserError when a pair names a parameter that is not searched, or one twice."""
        for pair in spec.pairs:
            for name in pair:
                if name not in space.names:
                    hint = suggest(name, space.names)
                    raise UserError(f"search.pairs: '{name}' is not searched, expected {', '.join(space.names)}{hint}")
            if len(set(pair)) != 2:
                raise UserError(f"search.pairs: {list(pair)}, expected two different parameters")
        if objective.follows_incumbent:
            raise UserError(
                "search.strategy: sweep compares all points with one reference, expected images.reference: files or "
                "input instead of incumbent"
            )

    def budget(self, space: ParameterSpace, spec: SweepSearch) -> int:
        """The points and the defaults."""
        return 1 + len(plan(space, spec))

    def run(self, task: Task) -> None:
        """Evaluate the points that are not recorded yet."""
        points = plan(task.space, task.spec)
        task.begin()
        while not task.done:
            # Slot 0 is the defaults, for which no sampler is asked.
            trial = task.ask(lambda slot: PointSampler(points[max(0, slot - 1)].parameters))
            if trial is not None:
                task.evaluate(trial)
