"""The search strategies by name. To add one, write its file and add its line."""

from __future__ import annotations

from pixelperfect_models.errors import UserError, suggest
from tuner.search.base import Search
from tuner.search.composite import Composite
from tuner.search.gradient import GradientAscent
from tuner.search.hybrid import Hybrid
from tuner.search.optuna_search import OptunaStrategy
from tuner.search.sweep import Sweep
from tuner.search.train import Training

STRATEGIES: dict[str, Search] = {
    "composite": Composite(),
    "gradient": GradientAscent(),
    "hybrid": Hybrid(),
    "optuna": OptunaStrategy(),
    "sweep": Sweep(),
    "train": Training(),
}
"""Strategy name to strategy. ``auto`` is one of these once the recipe is loaded (:func:`tuner.load_recipe`)."""


def strategy(name: str) -> Search:
    """The strategy of this name. Raises UserError for an unknown one, and for ``auto`` that was not resolved."""
    if name not in STRATEGIES:
        hint = "; load the recipe with tuner.load_recipe, which chooses one" if name == "auto" else ""
        raise UserError(
            f"search.strategy: '{name}' is unknown, expected one of {', '.join(STRATEGIES)}"
            f"{hint or suggest(name, STRATEGIES)}"
        )
    return STRATEGIES[name]
