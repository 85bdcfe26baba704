"""The recipe's search section: one model for each strategy (:mod:`tuner.search`), with its keys and their limits."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pixelperfect_models.errors import suggest
from tuner.recipe_model import RecipeModel

_TIMEOUT = "Stop after so many seconds; the trial under way is finished. Default: no limit."


class PruneSpec(RecipeModel):
    """Early stopping of hopeless trials, picture by picture (docs/pruning.md)."""

    rule: Literal["gaussian", "wilcoxon"] = Field(
        default="gaussian",
        description=(
            "What tells that the best cannot be reached any more, from the differences on the pictures seen: "
            "`gaussian` predicts the other pictures from them, by how pictures went together in earlier trials; "
            "`wilcoxon` is the signed-rank test, which looks at each picture by itself."
        ),
    )
    level: float = Field(
        default=0.1,
        gt=0,
        lt=0.5,
        description="A trial stops when the chance that it beats the best is below this. Larger stops earlier.",
    )


def _switch(value: object) -> object:
    """``prune: true`` is ``prune: {}``, ``prune: false`` the same as leaving it out."""
    return value if not isinstance(value, bool) else {} if value else None


# Shared by the strategies that evaluate one trial after another.
Prune = Annotated[
    PruneSpec | None,
    BeforeValidator(_switch, json_schema_input_type=bool | PruneSpec | None),
    Field(
        description=(
            "Evaluate pictures one after another, in another order each trial, and stop where the best is out of "
            "reach: `true`, or a mapping. Default: every trial sees every picture."
        )
    ),
]


def optuna_samplers() -> list[str]:
    """The names of Optuna's samplers."""
    import optuna  # here, since reading a recipe of another strategy does not need it

    return [name for name in optuna.samplers.__all__ if name.endswith("Sampler") and not name.startswith("Base")]


class AutoSearch(RecipeModel):
    """The strategy that fits the pipeline: gradient, hybrid, composite or optuna.

    Gradient when the pipeline is differentiable and all searched parameters are continuous; hybrid when only some are;
    composite for a black box; optuna where the reference is the incumbent, and for a Pareto front.
    """

    strategy: Literal["auto"] = Field(default="auto", description="Choose the strategy that fits the pipeline.")
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
    optimizer: Literal["adam", "lbfgsb"] = Field(
        default="adam",
        description=(
            "`adam`; or `lbfgsb`, limited-memory BFGS on the box, which learns the curvature and needs fewer steps "
            "where the objective is smooth."
        ),
    )
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
        "nsga3": "genetic algorithm for three or more objectives",
    }

    strategy: Literal["optuna"] = Field(default="optuna", description="Works with every pipeline.")
    sampler: str = Field(
        default="tpe",
        min_length=1,
        description=(
            f"Which sampler proposes the parameters: {', '.join(f'`{name}`' for name in SAMPLERS)}, the name of any "
            "class of `optuna.samplers`, or `package.module:Class`. One is made anew for every trial."
        ),
        json_schema_extra={"examples": list(SAMPLERS)},
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the sampler's class, such as `n_startup_trials` of `tpe`."
    )
    trials: int = Field(default=60, ge=1, description="Trials in all, the first at the pipeline's defaults.")
    points: int | None = Field(
        default=None, ge=2, description="Sampler `grid` only: values per continuous parameter. Default 5."
    )
    prune: Prune = None
    seed: int = Field(default=0, ge=0, description="Seed of the sampler.")
    timeout: float | None = Field(default=None, gt=0, description=_TIMEOUT)

    @field_validator("sampler")
    @classmethod
    def _known(cls, name: str) -> str:
        # A class of another package is looked for when the search is checked: importing it may take long.
        known = [*cls.SAMPLERS, *optuna_samplers()]
        if ":" not in name and name not in known:
            raise PydanticCustomError(
                "unknown_name",
                "found {found}, expected one of {known}, a class of optuna.samplers or package.module:Class{hint}",
                {"found": repr(name), "known": ", ".join(cls.SAMPLERS), "hint": suggest(name, known)},
            )
        return name

    @model_validator(mode="after")
    def _points(self) -> OptunaSearch:
        if self.points is not None and self.sampler != "grid":
            raise PydanticCustomError(
                "points",
                "found points with sampler: {sampler}, expected points only with sampler: grid",
                {"sampler": self.sampler},
            )
        return self


class HybridSearch(RecipeModel):
    """A sampler over choices, whole numbers and named parameters, gradient ascent over the rest inside each trial."""

    # In a file the key is needed: without it the strategy is auto.
    model_config = ConfigDict(json_schema_extra={"required": ["strategy"]})

    strategy: Literal["hybrid"] = Field(default="hybrid", description="Needs a differentiable pipeline.")
    sampler: Literal["tpe", "random", "qmc", "gp"] = Field(
        default="tpe", description="Which Optuna sampler proposes what is not ascended in."
    )
    sampled: list[str] = Field(
        default_factory=list,
        description="Continuous parameters that the sampler proposes too, such as those with a rough or no gradient.",
    )
    trials: int = Field(default=24, ge=1, description="Trials in all: the defaults, then one ascent each.")
    steps: int = Field(default=5, ge=1, description="Steps of each ascent, which begins at the best trial so far.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Step size, as a share of the searched range.")
    optimizer: Literal["adam", "lbfgsb"] = Field(default="lbfgsb", description="As of `gradient`.")
    seed: int = Field(default=0, ge=0, description="Seed of the sampler.")
    timeout: float | None = Field(default=None, gt=0, description=_TIMEOUT)


class CompositeSearch(RecipeModel):
    """Bayesian optimisation that models each map statistic, the score and the measures, and knows the objective."""

    # In a file the key is needed: without it the strategy is auto.
    model_config = ConfigDict(json_schema_extra={"required": ["strategy"]})

    strategy: Literal["composite"] = Field(
        default="composite", description="Works with every pipeline; for few, expensive trials."
    )
    trials: int = Field(default=60, ge=1, description="Trials in all, the first at the pipeline's defaults.")
    startup: int | None = Field(
        default=None,
        ge=2,
        description="Trials before the first model: the defaults, Sobol points. Default: parameters + 1, at least 4.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything random in the search.")
    timeout: float | None = Field(default=None, gt=0, description=_TIMEOUT)


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


class TrainSearch(RecipeModel):
    """Trains the network of pipeline `network` on photos, through the judge; every checkpoint is a trial."""

    # In a file the key is needed: without it the strategy is auto.
    model_config = ConfigDict(json_schema_extra={"required": ["strategy"]})

    strategy: Literal["train"] = Field(default="train", description="Needs the pipeline `network`.")
    photos: str | list[str] = Field(
        min_length=1,
        description="Path, glob or list of them: clean photos to train on, other ones than those of `images`.",
    )
    inputs: str | list[str] | None = Field(
        default=None,
        min_length=1,
        description=(
            "The degraded version of each photo, paired as `images` are. Default: a high-ISO shot of each crop is "
            "simulated, from `photons` and `read_noise`."
        ),
    )
    steps: int = Field(default=2000, ge=1, description="Training steps; the learning rate falls until the last one.")
    batch: int = Field(default=8, ge=1, description="Crops a step.")
    crop: int = Field(default=96, ge=32, description="Side of the crops, pixels.")
    evaluate_every: int = Field(
        default=250, ge=1, description="Write a checkpoint after every so many steps, and judge it: one trial."
    )
    learning_rate: float = Field(default=0.002, gt=0, le=1, description="AdamW's highest learning rate.")
    l1: float = Field(default=1.0, ge=0, description="Weight of the fidelity term, a smooth L1 on sRGB in [0, 1].")
    perceptual: float = Field(
        default=0.01,
        ge=0,
        description=(
            "Weight of the judge's term: `objective.score.weight` times the difference from the clean photo, and "
            "`objective.penalties`. 0 trains by the fidelity term alone."
        ),
    )
    perceptual_every: int = Field(
        default=1, ge=1, description="Ask the judge at every so many steps only, with its weight times that."
    )
    photons: list[float] = Field(
        default=[150.0, 600.0],
        min_length=2,
        max_length=2,
        description="Simulated shots: smallest and largest number of photons at white, drawn evenly in the logarithm.",
    )
    read_noise: list[float] = Field(
        default=[0.006, 0.014],
        min_length=2,
        max_length=2,
        description="Simulated shots: smallest and largest standard deviation of the read noise, in units of white.",
    )
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        default="auto", description="Of the network's arithmetic; `auto`: bf16-mixed where the processor computes it."
    )
    seed: int = Field(default=0, ge=0, description="Seed of crops, noise and what the network draws.")
    timeout: float | None = Field(
        default=None, gt=0, description="Stop after so many seconds, with a last checkpoint. Default: no limit."
    )

    @model_validator(mode="after")
    def _terms(self) -> TrainSearch:
        if self.l1 == 0 and self.perceptual == 0:
            raise PydanticCustomError("terms", "found l1: 0 and perceptual: 0, expected something to minimise")
        for key in ("photons", "read_noise"):
            low, high = getattr(self, key)
            if not 0 < low <= high:
                raise PydanticCustomError(
                    "span",
                    "found {key}: [{low}, {high}], expected 0 < smallest <= largest",
                    {"key": key, "low": f"{low:g}", "high": f"{high:g}"},
                )
        return self


Search = AutoSearch | CompositeSearch | GradientSearch | HybridSearch | OptunaSearch | SweepSearch | TrainSearch
SearchSpec = Annotated[Search, Field(discriminator="strategy")]
