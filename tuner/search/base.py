"""What a search strategy is, and what it is given to work with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.study import RunStudy


@dataclass
class Task:
    """One search under way.

    Attributes:
        objective: what is maximised.
        space: where it is searched.
        study: where trials are recorded, those of earlier sessions among them.
        spec: the recipe's ``search`` section.
        started: when this session began, on ``time.monotonic``'s clock.
    """

    objective: Objective
    space: ParameterSpace
    study: RunStudy
    spec: Any
    started: float = field(default_factory=time.monotonic)

    @property
    def out_of_time(self) -> bool:
        """True when the recipe's ``timeout`` (seconds of this session) is over."""
        return self.spec.timeout is not None and time.monotonic() - self.started >= self.spec.timeout


class Search(Protocol):
    """A strategy: proposes parameters, evaluates them and records each trial, until its budget is spent."""

    def check(self, objective: Objective, space: ParameterSpace, spec: Any) -> None:
        """Raise UserError when this strategy cannot search this; ``spec`` is the recipe's ``search`` section."""

    def budget(self, space: ParameterSpace, spec: Any) -> int:
        """How many counted trials the study has when the search is done; fewer where it converges early."""

    def run(self, task: Task) -> None:
        """Search on from what ``task.study`` holds. KeyboardInterrupt leaves every finished trial recorded."""
