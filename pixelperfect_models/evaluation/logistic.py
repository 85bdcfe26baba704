"""The monotone function that turns a metric's answers into ratings before PLCC and RMSE are taken.

People's scales bend at both ends; a metric is not to blame for that, so a function with few parameters is fitted
between its answers and the ratings first (VQEG, Final report from the Video Quality Experts Group on the validation
of objective models of video quality assessment, 2000 and phase II, 2003).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit


def logistic4(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    """VQEG's monotone function of four parameters: bottom + (top - bottom) / (1 + exp(-(x - middle) / |width|))."""
    return bottom + (top - bottom) * expit((x - middle) / np.maximum(np.abs(width), 1e-12))


def logistic5(x: np.ndarray, b1: float, b2: float, b3: float, b4: float, b5: float) -> np.ndarray:
    """Sheikh, Sabir, Bovik 2006: b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5. It need not be monotone."""
    return b1 * (0.5 - expit(-b2 * (x - b3))) + b4 * x + b5


def line(x: np.ndarray, slope: float, offset: float) -> np.ndarray:
    """slope x + offset: what remains where no logistic function can be fitted."""
    return slope * x + offset


_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {"logistic4": logistic4, "logistic5": logistic5, "line": line}


@dataclass(frozen=True)
class Fit:
    """A fitted function. Its coefficients are those for answers less ``center``, divided by ``scale``."""

    name: str
    coefficients: tuple[float, ...]
    center: float
    scale: float

    def __call__(self, answer: np.ndarray) -> np.ndarray:
        """Answers (n,) to ratings (n,)."""
        x = (np.asarray(answer, dtype=np.float64) - self.center) / self.scale
        return np.asarray(_FUNCTIONS[self.name](x, *self.coefficients))


def fit_logistic(answer: np.ndarray, mos: np.ndarray, parameters: int = 4) -> Fit:
    """Fit the ratings ``mos`` (n,) by a function of ``answer`` (n,), least squares.

    The answers are standardised first and the fit starts from several widths and both directions, since metrics
    live on scales from 0.001 to 100 and many crowd at one end. The best of those wins. Where none converges, or a
    straight line does better (few pictures), it is the line that is returned: ``Fit.name`` says which.

    Raises:
        ValueError: ``parameters`` is neither 4 nor 5.
    """
    if parameters not in (4, 5):
        raise ValueError(f"parameters: {parameters}, expected 4 or 5")
    answer, mos = np.asarray(answer, dtype=np.float64), np.asarray(mos, dtype=np.float64)
    center = float(np.median(answer)) if len(answer) else 0.0
    scale = float(answer.std()) if len(answer) else 1.0
    scale = scale if scale > 1e-12 * max(1.0, abs(center)) else 1.0
    x = (answer - center) / scale
    best, least = _line(x, mos)
    if len(answer) <= parameters or np.ptp(x) == 0:
        return Fit("line", best, center, scale)
    name, starts = _starts(x, mos, parameters)
    for start in starts:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", OptimizeWarning)  # a flat tail leaves a parameter undetermined
                found, _ = curve_fit(_FUNCTIONS[name], x, mos, p0=start, maxfev=5000)
        except RuntimeError:
            continue  # did not converge from here
        error = float(np.square(_FUNCTIONS[name](x, *found) - mos).sum())
        if np.isfinite(error) and (error < least or (len(best) == 2 and error <= least * (1 + 1e-9))):
            best, least = tuple(float(value) for value in found), error
    return Fit(name if len(best) > 2 else "line", best, center, scale)


def _line(x: np.ndarray, mos: np.ndarray) -> tuple[tuple[float, ...], float]:
    if len(x) < 2 or np.ptp(x) == 0:
        mean = float(mos.mean()) if len(mos) else 0.0
        return (0.0, mean), float(np.square(mos - mean).sum())
    slope, offset = np.polyfit(x, mos, 1)
    return (float(slope), float(offset)), float(np.square(slope * x + offset - mos).sum())


def _starts(x: np.ndarray, mos: np.ndarray, parameters: int) -> tuple[str, list[tuple[float, ...]]]:
    low, high = (float(value) for value in np.percentile(mos, [2, 98]))
    rising = float(np.cov(x, mos)[0, 1]) >= 0
    top, bottom = (high, low) if rising else (low, high)
    middles = [float(value) for value in np.percentile(x, [50, 20, 80])]
    widths = (0.5, 0.1, 2.0)
    if parameters == 4:
        return "logistic4", [(top, bottom, middle, width) for middle in middles for width in widths]
    mean = float(mos.mean())
    return "logistic5", [(top - bottom, 1.0 / width, middle, 0.0, mean) for middle in middles for width in widths]
