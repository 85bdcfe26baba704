"""Expected improvement of the objective through the modelled outputs, and where in the mixed space it is largest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from botorch.utils.safe_math import log_fatmoid, log_fatplus, logmeanexp
from scipy.optimize import minimize
from scipy.stats import qmc
from torch import Tensor

from tuner.search.encoding import Encoding
from tuner.search.gaussian_process import Processes

_SOFT_IMPROVEMENT, _SOFT_LIMIT = 1e-4, 1e-3
"""Temperatures of the smoothed improvement, in standard deviations of the objective, and of the limits."""
_GLOBAL, _LOCAL, _REFINED = 256, 192, 4
"""Candidates spread over the box, candidates about the best points, and how many of both are climbed from."""
_CLIMB = 25
_ON_AXIS = 9
"""Candidates along each axis through the best point."""
_SPREADS = (0.25, 0.1, 0.03, 0.01)
"""Standard deviations of the candidates about the best, as shares of the region."""


class Improvement:
    """Log expected improvement, by Monte Carlo over the outputs (Astudillo and Frazier 2019; Ament et al. 2023).

    Args:
        processes: of the outputs.
        scalar: what is improved: (..., M) outputs to (...).
        violations: (..., M) outputs to (..., C), <= 0 is met.
        best: the best feasible value so far; None while there is none, when only the limits count.
        scale: spread of the observed values.
        draws: (S, M) standard normal numbers.
        tried: (N, E) points that need not be asked again.
        radius: (E,), how near to them is the same again.
        failing: process of failing, 0 or 1, where trials have failed.
        stretch: the outputs' deviations are taken to be so many times as large; failing counts so many times as much,
            or what nobody has tried for good reasons would be most promising.
    """

    def __init__(
        self,
        processes: Processes,
        scalar: Callable[[Tensor], Tensor],
        violations: Callable[[Tensor], Tensor],
        best: float | None,
        scale: float,
        draws: Tensor,
        tried: Tensor,
        radius: Tensor,
        failing: Processes | None = None,
        stretch: float = 1.0,
    ) -> None:
        self._tried = tried / radius
        self._radius = radius
        self._processes = processes
        self._scalar = scalar
        self._violations = violations
        self._best = best
        self._scale = scale
        self._draws = draws
        self._failing = failing
        self._stretch = stretch

    def __call__(self, rows: Tensor) -> Tensor:
        """(B, E) points to (B,)."""
        # With the noise: what is rough at a small scale, such as a codec's rounding, may be better at the next point.
        mean, deviation = self._processes.predict(rows, noisy=True)
        outputs = mean.T + self._stretch * deviation.T * self._draws[:, None]
        gain = log_fatmoid(-self._violations(outputs) / _SOFT_LIMIT).sum(-1)
        if self._best is not None:
            gain = gain + log_fatplus((self._scalar(outputs) - self._best) / self._scale, tau=_SOFT_IMPROVEMENT)
        result = logmeanexp(gain, dim=0)
        if self._failing is not None:
            chance, unsure = self._failing.predict(rows)
            result = result + self._stretch * torch.special.log_ndtr((0.5 - chance[0]) / (unsure[0] + 0.05))
        nearest = (rows / self._radius)[:, None].sub(self._tried).square().sum(-1).amin(1)
        return result + torch.log(-torch.expm1(-nearest - 1e-12))


@dataclass(frozen=True)
class Region:
    """A box of the unit cube, (E,) each: where candidates may lie. Choices are always free."""

    low: np.ndarray
    high: np.ndarray


def region_about(row: np.ndarray, encoding: Encoding, side: float, shape: np.ndarray) -> Region:
    """A box of about ``side`` round a point, longer along parameters that matter less (Eriksson et al. 2019, TuRBO).

    Args:
        row: (E,) the centre.
        encoding: of the space.
        side: geometric mean of the sides.
        shape: (E,) lengthscales.
    """
    numbers = ~encoding.categorical
    relative = np.ones_like(row)
    if numbers.any():
        relative[numbers] = shape[numbers] / np.exp(np.log(shape[numbers]).mean())
    half = 0.5 * side * np.clip(relative, 0.25, 4.0)
    low, high = np.clip(row - half, 0.0, 1.0), np.clip(row + half, 0.0, 1.0)
    low[~numbers], high[~numbers] = 0.0, 1.0
    return Region(low, high)


def largest(
    acquisition: Improvement,
    encoding: Encoding,
    centres: np.ndarray,
    rng: np.random.Generator,
    region: Region | None = None,
) -> np.ndarray:
    """The point (E,) of the largest acquisition found: candidates, then gradient ascent, then steps of the choices.

    Args:
        acquisition: (B, E) to (B,).
        encoding: of the space.
        centres: (C, E) the best points so far, the best first.
        rng: draws the candidates.
        region: where to look; the whole box when left out.
    """
    dimension = int(encoding.owners.max()) + 1
    whole = Region(np.zeros(len(encoding.owners)), np.ones(len(encoding.owners)))
    box = whole if region is None else region
    span = box.high - box.low
    cube = qmc.Sobol(dimension, scramble=True, rng=rng).random(_GLOBAL)
    spread_out = encoding.from_cube(cube)
    numbers = ~encoding.categorical
    spread_out[:, numbers] = box.low[numbers] + spread_out[:, numbers] * span[numbers]
    about = [*_along_axes(encoding, centres[0], box)] if region is None else []
    for index in range(_LOCAL):
        centre = centres[index % len(centres)]
        step = np.maximum(_SPREADS[index % len(_SPREADS)] * encoding.by_parameter(span), 1e-4)
        about.append(encoding.moved(centre, rng, step, max(0.3, 3.0 / dimension)))
    rows = np.concatenate([spread_out, np.array(about)])
    rows[:, numbers] = np.clip(rows[:, numbers], box.low[numbers], box.high[numbers])
    rows = encoding.valid(rows)
    with torch.no_grad():
        found = acquisition(torch.from_numpy(rows)).numpy()
    order = np.argsort(-found, kind="stable")
    # The best of the spread candidates too, so that not all climb the hill that is known.
    first = [int(i) for i in order[: _REFINED - 1]]
    far = next((int(i) for i in order if i < _GLOBAL and int(i) not in first), None)
    starts = rows[first if far is None else [*first, far]]
    climbed, heights = _climbed(acquisition, encoding, starts, box)
    top = int(np.argmax(heights))
    if heights[top] < found[order[0]]:
        return rows[order[0]]
    return _stepped(acquisition, encoding, climbed[top], float(heights[top]), box)


def _along_axes(encoding: Encoding, row: np.ndarray, box: Region) -> Iterator[np.ndarray]:
    """A point with one number changed, all over its range: where pipelines have a second hill most often."""
    for coordinate in np.flatnonzero(~encoding.categorical):
        for place in np.linspace(box.low[coordinate], box.high[coordinate], _ON_AXIS):
            moved = row.copy()
            moved[coordinate] = place
            yield moved


def _climbed(
    acquisition: Improvement, encoding: Encoding, rows: np.ndarray, box: Region
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (B, E) up the gradient in their continuous coordinates, all at once: where they end, and heights (B,)."""
    free = torch.from_numpy(encoding.continuous)
    start = torch.from_numpy(rows)
    if not encoding.continuous.any():
        with torch.no_grad():
            return rows, acquisition(start).numpy()

    def whole(numbers: Tensor) -> Tensor:
        return start.masked_scatter(free.expand_as(start), numbers)

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(numbers.copy()).requires_grad_()
        height = acquisition(whole(leaf)).sum()
        (gradient,) = torch.autograd.grad(-height, leaf)
        return -float(height.detach()), gradient.numpy()

    bounds = list(zip(box.low[encoding.continuous], box.high[encoding.continuous], strict=True)) * len(rows)
    flat = rows[:, encoding.continuous].ravel()
    result = minimize(loss, flat, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _CLIMB})
    with torch.no_grad():
        climbed = whole(torch.from_numpy(result.x))
        return climbed.numpy(), acquisition(climbed).numpy()


def _stepped(acquisition: Improvement, encoding: Encoding, best: np.ndarray, value: float, box: Region) -> np.ndarray:
    for _ in range(3):
        rows = encoding.neighbours(best)
        if not len(rows):
            break
        with torch.no_grad():
            found = acquisition(torch.from_numpy(rows)).numpy()
        if found.max() <= value:
            break
        climbed, heights = _climbed(acquisition, encoding, rows[[int(np.argmax(found))]], box)
        best, value = climbed[0], float(heights[0])
    return best
