"""Point sequences: a full grid and Sobol points, as Optuna samplers and as starting points.

Both give point number n without looking at the trials before it, so that a search that was killed goes on exactly
where it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from tuner.parameter_space import ParameterSpace
from tuner.recipe import Scalar


def sobol_point(dimension: int, seed: int, number: int) -> np.ndarray:
    """Point ``number`` (from 0) of a scrambled Sobol sequence in the unit cube, (D,).

    Sobol 1967 with Owen's scrambling, by SciPy. Any first 2^n points are evenly spread.
    """
    engine = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed))
    if number:
        engine.fast_forward(number)
    return np.asarray(engine.random(1)[0])


class Grid:
    """All combinations of a few values of every parameter, in an order shuffled by ``seed``.

    Shuffled, so that a search with fewer trials than points still sees all of the box.
    """

    def __init__(self, space: ParameterSpace, points: int, seed: int) -> None:
        self._names = space.names
        self._values = [dimension.points(points) for dimension in space.dimensions]
        self.size = math.prod(len(values) for values in self._values)
        self._seed = seed

    def __getitem__(self, number: int) -> dict[str, Scalar]:
        order = np.random.default_rng(self._seed).permutation(self.size)
        places = np.unravel_index(int(order[number]), [len(values) for values in self._values])
        return {n: values[int(p)] for n, values, p in zip(self._names, self._values, places, strict=True)}


class PointSampler(BaseSampler):  # type: ignore[misc]  # Optuna is read as untyped
    """Proposes one given point: Optuna's way to evaluate a point of a sequence."""

    def __init__(self, point: Mapping[str, Scalar]) -> None:
        self._point = dict(point)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: every parameter is given by :meth:`sample_independent`."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, as above."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The point's value of this parameter."""
        return self._point[param_name]
