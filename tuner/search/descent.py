"""First-order optimisers in the unit cube, one loss and gradient at a time, with their whole state in a few lists.

A state proposes ``point``; whoever evaluates it answers with :meth:`accept` or :meth:`back_off`, and the state proposes
the next. All of it goes into JSON, so that a search goes on where it was killed. Losses are minimised.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_GROWTH = 1.25
"""After a good step the step size grows again by this, up to the recipe's learning rate."""
_CONVERGED = 1e-5
"""A start ends when its steps have become shorter than this share of the range: nothing more is to be gained."""
# Kingma and Ba 2015 with its usual decay rates, the second a little shorter for runs of a few dozen steps.
_DECAY_1, _DECAY_2 = 0.9, 0.99
_EPSILON = 1e-12  # in units of the gradient, which may be as small as 1e-4 for a large picture
_MEMORY = 8
"""Pairs of steps and gradient changes that L-BFGS remembers."""
_CURVATURE = 1e-10
"""A pair without so much curvature, relative to its size, is forgotten: it would spoil the direction."""


@dataclass
class DescentState:
    """Where one start is: enough to go on after a kill. Points and gradients are in the unit cube, (D,).

    Attributes:
        start: which starting point; 0 is the pipeline's defaults.
        point: where the next step is evaluated.
        step_size: longest step, as a share of the range.
        drawn: how many Sobol points have been used up by all starts.
        step: how many steps it has made.
        good, good_loss, gradient: the last accepted point, its loss and gradient; ``good`` is None before the first.
        done: this start has converged.
    """

    start: int
    point: list[float]
    step_size: float
    drawn: int
    step: int = 0
    good: list[float] | None = None
    good_loss: float = 1e300
    gradient: list[float] = field(default_factory=list)
    done: bool = False

    def accept(self, loss: float, gradient: np.ndarray, largest_step: float) -> None:
        """``point`` was good: move on from it by one step."""
        raise NotImplementedError

    def back_off(self, loss: float | None = None, gradient: np.ndarray | None = None) -> None:
        """``point`` was bad, with this loss and gradient where it had any: a shorter step from the last good one."""
        raise NotImplementedError

    def inherit(self, other: DescentState) -> None:
        """Take over what ``other`` learned about the curvature, where the kind of optimiser learns any."""

    def _move_to(self, point: np.ndarray) -> None:
        """Propose the projection of ``point`` onto the box: a parameter that is best at its bound ends on it."""
        inside = np.clip(point, 0.0, 1.0)
        self.done = bool(np.abs(inside - np.array(self.good)).max() < _CONVERGED)
        self.point = inside.tolist()


@dataclass
class AdamState(DescentState):
    """Adam (Kingma and Ba 2015).

    Attributes:
        mean, square, count: moments over the accepted points since the last back-off.
    """

    mean: list[float] = field(default_factory=list)
    square: list[float] = field(default_factory=list)
    count: int = 0

    def accept(self, loss: float, gradient: np.ndarray, largest_step: float) -> None:
        """Go on by one Adam step."""
        if self.good is not None:
            self.step_size = min(self.step_size * _GROWTH, largest_step)
        self.good, self.good_loss, self.gradient = list(self.point), loss, gradient.tolist()
        self.count += 1
        mean = np.array(self.mean or np.zeros_like(gradient))
        square = np.array(self.square or np.zeros_like(gradient))
        self.mean = (_DECAY_1 * mean + (1 - _DECAY_1) * gradient).tolist()
        self.square = (_DECAY_2 * square + (1 - _DECAY_2) * gradient**2).tolist()
        self._propose()

    def back_off(self, loss: float | None = None, gradient: np.ndarray | None = None) -> None:
        """Return to the last good point and go half as far, along its own gradient.

        The moments are forgotten, because a step along old gradients need not lead downhill however short it is.
        """
        good = np.array(self.gradient)
        self.step_size /= 2
        self.count = 1
        self.mean, self.square = ((1 - _DECAY_1) * good).tolist(), ((1 - _DECAY_2) * good**2).tolist()
        self._propose()

    def _propose(self) -> None:
        mean = np.array(self.mean) / (1 - _DECAY_1**self.count)
        square = np.array(self.square) / (1 - _DECAY_2**self.count)
        self._move_to(np.array(self.good) - self.step_size * mean / (np.sqrt(square) + _EPSILON))


@dataclass
class LbfgsState(DescentState):
    """Limited-memory BFGS on a box: the quasi-Newton step in the coordinates that are free to move, cut at the bounds.

    The two-loop recursion of Nocedal 1980, on the free coordinates as in Bertsekas 1982 (a coordinate on its bound
    whose gradient pushes outwards is held). Every evaluation is a proposal of its own, so that a line search is a
    sequence of back-offs by quadratic interpolation; what a rejected point says of the curvature is kept. No step is
    longer than ``step_size`` in any coordinate: far from a minimum the quadratic model is wrong about long ones.

    Attributes:
        steps, changes: remembered steps and changes of the gradient, the oldest first.
        direction: of the step under way; ``share`` is how much of it is tried.
        scale: (D,) inverse size of the first gradient: the first step moves all parameters by about as much.
    """

    steps: list[list[float]] = field(default_factory=list)
    changes: list[list[float]] = field(default_factory=list)
    direction: list[float] = field(default_factory=list)
    share: float = 1.0
    scale: list[float] = field(default_factory=list)

    def accept(self, loss: float, gradient: np.ndarray, largest_step: float) -> None:
        """Remember the curvature of the step and make the next."""
        if self.good is None:
            size = np.abs(gradient)
            self.scale = (1.0 / (size + 0.1 * size.max() + _EPSILON)).tolist()
        else:
            self._remember(gradient)
            if self.share == 1.0:
                self.step_size = min(self.step_size * 2.0, largest_step)
        self.good, self.good_loss, self.gradient = list(self.point), loss, gradient.tolist()
        self._aim()
        self._move_to(np.array(self.good) + np.array(self.direction))

    def back_off(self, loss: float | None = None, gradient: np.ndarray | None = None) -> None:
        """Try less of the step, or where the rejected point has shown the curvature, a better direction."""
        assert self.good is not None
        moved = np.array(self.point) - np.array(self.good)
        slope = float(np.array(self.gradient) @ moved)
        shrink = 0.25
        if loss is not None and loss > self.good_loss + slope:
            shrink = float(np.clip(-slope / (2.0 * (loss - self.good_loss - slope)), 0.1, 0.5))
        if gradient is not None and np.isfinite(gradient).all():
            self._remember(gradient)
        self.step_size = max(float(np.abs(moved).max()) * shrink, _CONVERGED / 2)
        self.share *= shrink
        self._aim(keep_share=True)
        self._move_to(np.array(self.good) + np.array(self.direction))

    def inherit(self, other: DescentState) -> None:
        """Its remembered steps."""
        assert isinstance(other, LbfgsState)
        self.steps, self.changes = other.steps, other.changes

    def _remember(self, gradient: np.ndarray) -> None:
        step = np.array(self.point) - np.array(self.good)
        change = gradient - np.array(self.gradient)
        if step @ change > _CURVATURE * np.linalg.norm(step) * np.linalg.norm(change):
            self.steps = [*self.steps, step.tolist()][-_MEMORY:]
            self.changes = [*self.changes, change.tolist()][-_MEMORY:]

    def _aim(self, keep_share: bool = False) -> None:
        """Set ``direction``: downhill, within the box's free coordinates, no longer than ``step_size``."""
        good, gradient = np.array(self.good), np.array(self.gradient)
        free = ~(((good <= 0.0) & (gradient > 0.0)) | ((good >= 1.0) & (gradient < 0.0)))
        direction = -self._inverse_times(np.where(free, gradient, 0.0), free)
        if direction @ gradient >= 0.0:  # the memory misleads: begin again
            self.steps, self.changes = [], []
            direction = -self._inverse_times(np.where(free, gradient, 0.0), free)
        longest = float(np.abs(direction).max())
        if not self.steps or longest > self.step_size:
            direction *= self.step_size / max(longest, _EPSILON)
        self.direction = direction.tolist()
        if not keep_share:
            self.share = 1.0

    def _inverse_times(self, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
        """The two-loop recursion: the inverse Hessian's estimate times the gradient."""
        pairs = [
            (step, change)
            for step, change in (
                (np.where(free, s, 0.0), np.where(free, c, 0.0)) for s, c in zip(self.steps, self.changes, strict=True)
            )
            if step @ change > _CURVATURE * np.linalg.norm(step) * np.linalg.norm(change)
        ]
        scale = np.where(free, np.array(self.scale), 0.0)
        left, coefficients = gradient.copy(), []
        for step, change in reversed(pairs):
            coefficient = (step @ left) / (step @ change)
            coefficients.append(coefficient)
            left = left - coefficient * change
        if pairs:
            step, change = pairs[-1]
            left = left * scale * (step @ change) / (change @ (scale * change))
        else:
            left = left * scale
        for (step, change), coefficient in zip(pairs, reversed(coefficients), strict=True):
            left = left + step * (coefficient - (change @ left) / (step @ change))
        return left


OPTIMIZERS: dict[str, type[DescentState]] = {"adam": AdamState, "lbfgsb": LbfgsState}
"""Name in a recipe to the state that it starts with."""
