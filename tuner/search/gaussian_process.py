"""Independent Gaussian processes on the same points: fitted one after another, asked all at once.

Written out in a page, where GPyTorch is for models of any shape, because a search fits a dozen of them before every
trial: here one takes about a hundredth of a second (docs/searches.md compares). Rasmussen and Williams 2006,
chapters 2 and 5, for all formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

_ROOT5 = math.sqrt(5.0)
# Lengthscales: the log-normal prior of Hvarfner et al. 2024 (BoTorch's default), which grows with the dimension, so
# that many parameters are not taken to matter all at once.
_LENGTH_LOCATION, _LENGTH_SPREAD = math.sqrt(2.0), math.sqrt(3.0)
_LENGTH_BOUNDS = (math.log(0.02), math.log(50.0))
# Variance of the process, of standardised outputs.
_SCALE_SPREAD = 1.0
_SCALE_BOUNDS = (math.log(0.05), math.log(50.0))
# Variance of the noise. The judge and most pipelines repeat exactly; what looks like noise is rounding to 8 bits.
_NOISE_LOCATION, _NOISE_SPREAD = math.log(1e-5), 1.5
_NOISE_BOUNDS = (math.log(1e-7), math.log(1.0))
_STEPS = 60


@dataclass(frozen=True)
class Processes:
    """M fitted Gaussian processes on N points with E coordinates.

    Attributes:
        points: (N, E).
        lengths: (M, E) lengthscale of every coordinate.
        scales, noises: (M,) variances, of standardised outputs.
        means, deviations: (M,) of the outputs before standardising.
        weights: (M, N), the inverse covariance times the standardised outputs.
        factors: (M, N, N), the inverse of the covariance's lower Cholesky factor.
        losses: (M,), minus the log posterior density of the standardised outputs when they were fitted.
    """

    points: torch.Tensor
    lengths: torch.Tensor
    scales: torch.Tensor
    noises: torch.Tensor
    means: torch.Tensor
    deviations: torch.Tensor
    weights: torch.Tensor
    factors: torch.Tensor
    losses: torch.Tensor

    def predict(self, points: torch.Tensor, noisy: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of all outputs at (B, E) points, ``noisy``: with the noise's. (M, B) each."""
        scaled = (self.points / self.lengths[:, None]), (points / self.lengths[:, None])
        covariance = self.scales[:, None, None] * _matern(_distance(*scaled))
        mean = torch.einsum("mn,mnb->mb", self.weights, covariance)
        explained = (self.factors @ covariance).square().sum(1)
        variance = (self.scales[:, None] - explained).clamp(min=1e-10)
        deviation = (variance + self.noises[:, None] if noisy else variance).sqrt()
        return self.means[:, None] + self.deviations[:, None] * mean, self.deviations[:, None] * deviation

    def believing(self, points: torch.Tensor) -> Processes:
        """The processes as if ``points`` (B, E) had been observed at their predicted means (Ginsbourger et al. 2010).

        For points under evaluation elsewhere: what is known of them stays, that they are uncertain goes.
        """
        mean, _ = self.predict(points)
        old = self.factors_outputs()
        new = (mean - self.means[:, None]) / self.deviations[:, None]
        return _conditioned(
            torch.cat([self.points, points]),
            torch.cat([old, new], 1),
            self.lengths,
            self.scales,
            self.noises,
            self.means,
            self.deviations,
            self.losses,
        )

    def with_column(self, number: int, other: Processes) -> Processes:
        """These, with the only process of ``other``, which is on the same points, in place of one."""
        placed = {}
        for field in fields(self):
            mine, its = getattr(self, field.name), getattr(other, field.name)
            placed[field.name] = mine if field.name == "points" else torch.cat([mine[:number], its, mine[number + 1 :]])
        return Processes(**placed)

    def factors_outputs(self) -> torch.Tensor:
        """The standardised outputs (M, N) the processes were fitted to."""
        lower = torch.linalg.inv(self.factors)
        return torch.einsum("mij,mkj,mk->mi", lower, lower, self.weights)


def fit(points: np.ndarray, outputs: np.ndarray, owners: np.ndarray) -> Processes:
    """Fit one process to every column of ``outputs`` by its most probable hyperparameters.

    Args:
        points: (N, E) coordinates, of the order of 1.
        outputs: (N, M), finite.
        owners: (E,) for each coordinate the number of the parameter it belongs to, from 0 to D - 1; coordinates of
            one parameter share a lengthscale.
    """
    means = outputs.mean(0)
    deviations = outputs.std(0)
    deviations = np.where(deviations > 1e-9 * np.maximum(1.0, np.abs(means)), deviations, 1.0)
    standard = (outputs - means) / deviations
    difference = np.square(points[:, None] - points[None])
    squares = np.stack([difference[..., owners == owner].sum(-1) for owner in range(int(owners.max()) + 1)])
    found = [_most_probable(squares, column) for column in standard.T]
    fitted = np.array([theta for theta, _ in found])
    return _conditioned(
        torch.from_numpy(points),
        torch.from_numpy(np.ascontiguousarray(standard.T)),
        torch.from_numpy(np.exp(fitted[:, :-2][:, owners])),
        torch.from_numpy(np.exp(fitted[:, -2])),
        torch.from_numpy(np.exp(fitted[:, -1])),
        torch.from_numpy(means),
        torch.from_numpy(deviations),
        torch.tensor([loss for _, loss in found], dtype=torch.float64),
    )


def _most_probable(squares: np.ndarray, output: np.ndarray) -> tuple[np.ndarray, float]:
    """(D + 2,): logarithms of lengthscales, variance and noise that maximise likelihood times prior; and the loss."""
    count = len(squares)
    location = np.array([_LENGTH_LOCATION + 0.5 * math.log(count)] * count + [0.0, _NOISE_LOCATION])
    spread = np.array([_LENGTH_SPREAD] * count + [_SCALE_SPREAD, _NOISE_SPREAD])
    start = np.array([math.log(0.5 * math.sqrt(count))] * count + [0.0, _NOISE_LOCATION])
    bounds = [_LENGTH_BOUNDS] * count + [_SCALE_BOUNDS, _NOISE_BOUNDS]
    size = len(output)
    if not output.any():  # constant: nothing to learn
        return start, 0.0

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        inverse_squares = np.exp(-2.0 * theta[:count])
        root = _ROOT5 * np.sqrt(np.tensordot(inverse_squares, squares, 1))
        decay = np.exp(theta[count] - root)
        covariance = (1.0 + root + root**2 / 3.0) * decay
        noise = math.exp(theta[-1])
        try:
            lower = cholesky(covariance + noise * np.eye(size), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        inverse = cho_solve((lower, True), np.eye(size), check_finite=False)
        weights = inverse @ output
        gap = 0.5 * (inverse - np.outer(weights, weights))
        away = (theta - location) / spread
        value = 0.5 * output @ weights + np.log(np.diag(lower)).sum() + 0.5 * np.square(away).sum()
        steepness = gap * ((5.0 / 3.0) * (1.0 + root) * decay)
        gradient = away / spread
        gradient[:count] += inverse_squares * np.tensordot(squares, steepness, 2)
        gradient[count] += (gap * covariance).sum()
        gradient[-1] += noise * np.trace(gap)
        return float(value), gradient

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    return np.asarray(found.x), float(found.fun)


def _conditioned(
    points: torch.Tensor,
    outputs: torch.Tensor,
    lengths: torch.Tensor,
    scales: torch.Tensor,
    noises: torch.Tensor,
    means: torch.Tensor,
    deviations: torch.Tensor,
    losses: torch.Tensor,
) -> Processes:
    scaled = points / lengths[:, None]
    covariance = scales[:, None, None] * _matern(_distance(scaled, scaled))
    eye = torch.eye(len(points), dtype=points.dtype)
    lower = torch.linalg.cholesky(covariance + noises[:, None, None] * eye)
    factors = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
    weights = torch.einsum("mji,mjk,mk->mi", factors, factors, outputs)
    return Processes(points, lengths, scales, noises, means, deviations, weights, factors, losses)


def _distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean, (M, N, E) and (M, B, E) to (M, N, B), with a gradient where it is 0 too."""
    square = first.square().sum(-1)[..., None] + second.square().sum(-1)[..., None, :]
    return (square - 2.0 * first @ second.mT).clamp(min=1e-14).sqrt()


def _matern(distance: torch.Tensor) -> torch.Tensor:
    """Matérn 5/2: twice differentiable."""
    root = _ROOT5 * distance
    return (1.0 + root + root.square() / 3.0) * torch.exp(-root)
