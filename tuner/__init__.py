"""The tuner: recipes, objective, searches, study, report, command line.

>>> from tuner import load_recipe, run
>>> result = run(load_recipe("recipes/denoise.yaml"))  # doctest: +SKIP
>>> result.best_parameters  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.recipe_file import load_recipe
    from tuner.runner import run

__all__ = ["load_recipe", "run"]


def __getattr__(name: str) -> Any:
    # Imported on first use: torch takes seconds, and `tuner --help` does without it.
    if name == "load_recipe":
        from tuner.recipe_file import load_recipe

        return load_recipe
    if name == "run":
        from tuner.runner import run

        return run
    raise AttributeError(f"module 'tuner' has no attribute '{name}'")
