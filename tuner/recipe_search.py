"""The recipe's search section: one model for each strategy (:mod:`tuner.search`), with its keys and their limits."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tuner.recipe_model import RecipeModel

_TIMEOUT = "Stop after so many seconds; the trial under way is finished. Default: no limit."


class AutoSearch(RecipeModel):
    """Gradient when the pipeline is differentiable and all searched parameters are continuous, otherwise Optuna."""

    strategy: Literal["auto"] = Field(default="auto", description="Choose between gradient and optuna.")
    trials: int | None = Field(
        default=None, ge=1, description="Evaluations in all. Default: the chosen strategy's own."
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything random in the search.")
    timeout: float | None = Field(default=None, gt=0, description=_TIMEOUT)


class GradientSearch(RecipeModel):
    """Gradient ascent through pipeline and judge from several starting points."""

    # In a file the key is needed: without it the strategy is auto.
    model_config = ConfigDict(json_schema_extra={"required": ["strategy"]})

    strategy: Literal["gradient"] = Field(default="gradient", description="Needs a differentiable pipeline.")
    starts: int = Field(default=3, ge=1, description="Starting points: the defaults, then random ones.")
    steps: int = Field(default=40, ge=1, description="Steps from each starting point; one step is one trial.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Step size, as a share of the searched range.")
    optimizer: Literal["adam"] = Field(default="adam", description="The optimiser.")
    back_off: bool = Field(
        default=True,
        description=(
            "Go back where the objective falls, and take shorter steps from there. `false`, for objectives that are "
            "rough at small scale (rounding in a codec): take every step, a tenth as long in the end."
        ),
    )
    seed: int = Field(default=0, ge=0, description="Seed of the random starting points.")
    timeout: float | None = Field(default=None, gt=0, description=_TIMEOUT)


class OptunaSearch(RecipeModel):
    """Black-box search by an Optuna sampler."""

    # In a file the key is needed: without it the strategy is auto.
    model_config = ConfigDict(json_schema_extra={"required": ["strategy"]})

    SAMPLERS: ClassVar[dict[str, str]] = {
        "tpe": "tree-structured Parzen estimator: a good first choice for any kind of parameter",
        "random": "independent random points",
        "qmc": "a low-discrepancy sequence: random, but evenly spread",
        "gp": "Gaussian process: few, expensive trials",
        "cmaes": "evolution strategy: many trials of continuous parameters",
        "grid": "every combination of evenly spaced values",
        "nsga2": "genetic algorithm",
    }

    strategy: Literal["optuna"] = Field(default="optuna", description="Works with every pipeline.")
    sampler: Literal["tpe", "random", "qmc", "gp", "cmaes", "grid", "nsga2"] = Field(
        default="tpe", description="Which sampler proposes the parameters."
    )
    trials: int = Field(default=60, ge=1, description="Trials in all, the first at the pipeline's defaults.")
    points: int | None = Field(
        default=None, ge=2, description="Sampler `grid` only: values per continuous parameter. Default 5."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the sampler.")
    timeout: float | None = Field(default=None, gt=0, description=_TIMEOUT)

    @model_validator(mode="after")
    def _points(self) -> OptunaSearch:
        if self.points is not None and self.sampler != "grid":
            raise PydanticCustomError(
                "points",
                "found points with sampler: {sampler}, expected points only with sampler: grid",
                {"sampler": self.sampler},
            )
        return self


class SweepSearch(RecipeModel):
    """Each searched parameter alone over its range, and pairs of them over grids; all else at the defaults."""

    # In a file the key is needed: without it the strategy is auto.
    model_config = ConfigDict(json_schema_extra={"required": ["strategy"]})

    strategy: Literal["sweep"] = Field(default="sweep", description="Works with every pipeline.")
    points: int = Field(default=9, ge=2, description="Values for each parameter; all choices of one with choices.")
    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list, description="Pairs of searched parameters that are swept together."
    )
    pair_points: int = Field(default=5, ge=2, description="Values for each parameter of a pair.")
    seed: int = Field(default=0, ge=0, description="Seed of pipelines that draw random numbers.")
    timeout: float | None = Field(default=None, gt=0, description=_TIMEOUT)


Search = AutoSearch | GradientSearch | OptunaSearch | SweepSearch
SearchSpec = Annotated[Search, Field(discriminator="strategy")]
