"""The recipe: what to tune, on which pictures, for which objective, by which search.

These are the models of the YAML file only, those of its objective in :mod:`tuner.recipe_objective`. Reading a file
with line numbers is :mod:`tuner.recipe_file`, finding and pairing the pictures :mod:`tuner.recipe_images`, agreement
with the pipeline :mod:`tuner.recipe_pipeline`.
Every key is documented here, in ``Field(description=...)``: the JSON Schema and docs/recipe_keys.md come from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tuner.recipe_model import RecipeModel
from tuner.recipe_objective import Objective

Scalar = bool | int | float | str


class SearchSpace(RecipeModel):
    """What the search may try for one parameter. Keys left out take the pipeline's own bounds, scale or choices.

    In a recipe from :func:`tuner.load_recipe` they are filled in: either ``low``, ``high`` and ``log``, or ``choices``.
    """

    low: float | None = Field(
        default=None, description="Smallest value tried. Default: the pipeline's own lower bound."
    )
    high: float | None = Field(
        default=None, description="Largest value tried. Default: the pipeline's own upper bound."
    )
    log: bool | None = Field(
        default=None, description="Search on a logarithmic scale; needs low > 0. Default: the parameter's own scale."
    )
    choices: list[Scalar] | None = Field(
        default=None, min_length=1, description="For a parameter with choices: those to try. Default: all of them."
    )

    @model_validator(mode="after")
    def _bounds(self) -> SearchSpace:
        if self.choices is not None and (self.low, self.high, self.log) != (None, None, None):
            raise PydanticCustomError("bounds", "found choices beside low/high/log, expected one or the other")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise PydanticCustomError(
                "bounds",
                "found low: {low} and high: {high}, expected low < high",
                {"low": f"{self.low:g}", "high": f"{self.high:g}"},
            )
        if self.log and self.low is not None and self.low <= 0:
            raise PydanticCustomError(
                "bounds", "found log: true with low: {low}, expected low > 0", {"low": f"{self.low:g}"}
            )
        return self


class PipelineSpec(RecipeModel):
    """Which algorithm is tuned and which of its parameters are searched."""

    name: str = Field(
        min_length=1,
        description="A built-in pipeline (`tuner list pipelines`) or `package.module:Class`.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "What the pipeline is made of, for those that take options (`tuner list pipelines`): the stages of an ISP, "
            "the command line of a program, the class of a network. Paths are relative to the recipe's folder."
        ),
    )
    fixed: dict[str, Scalar] = Field(
        default_factory=dict,
        description="Parameters held at a value. Those neither fixed nor searched keep the pipeline's default.",
    )
    search: dict[str, SearchSpace] = Field(min_length=1, description="Parameters to search, name to range.")

    @model_validator(mode="after")
    def _disjoint(self) -> PipelineSpec:
        both = [name for name in self.search if name in self.fixed]
        if both:
            raise PydanticCustomError(
                "disjoint",
                "found {names} both fixed and searched, expected each parameter in one of the two",
                {"names": ", ".join(both)},
            )
        return self


class ImagesSpec(RecipeModel):
    """The pictures. Paths and globs are relative to the recipe's folder; absolute paths and ${VARIABLE} work too."""

    input: str | list[str] = Field(min_length=1, description="Path, glob or list of them: what the pipeline is given.")
    reference: str | list[str] = Field(
        min_length=1,
        description=(
            "Path, glob or list of them: what the output is judged against, paired with the inputs by file name "
            "where the names agree, otherwise in sorted order. `input`: the input itself (compression). "
            "`incumbent`: the best output so far (no ground truth)."
        ),
    )
    exclude: list[str] = Field(
        default_factory=list,
        description="Globs of pictures held out: a pair whose input or reference matches is left out.",
    )
    skip: int = Field(default=0, ge=0, description="Leave out the first pairs, after sorting by name.")
    limit: int | None = Field(default=None, ge=1, description="Use only so many pairs, after sorting and `skip`.")
    crop: int | None = Field(
        default=None, ge=16, description="Search on the centre crop of this side, pixels. A smaller side stays whole."
    )


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


class JudgeSpec(RecipeModel):
    """Which judge; left out, the one that ships with the package."""

    weights: str | None = Field(default=None, description="Folder of trained weights, relative to the recipe.")


@dataclass(frozen=True)
class ImagePair:
    """One picture to tune on.

    Attributes:
        name: unique within the recipe, fit for a file name (the input's stem).
        input: absolute path.
        reference: absolute path, or None where the recipe says ``input`` or ``incumbent``.
    """

    name: str
    input: Path
    reference: Path | None


class Recipe(RecipeModel):
    """A whole recipe. From :func:`tuner.load_recipe` it is resolved: paths absolute, ranges filled in, pairs found."""

    name: str = Field(default="", description="Title of the run. Default: the recipe's file name.")
    description: str = Field(default="", description="Free text for the report.")
    pipeline: PipelineSpec = Field(description="The algorithm and its parameters.")
    images: ImagesSpec = Field(description="The pictures to tune on.")
    objective: Objective = Field(default_factory=Objective, description="What is maximised.")
    search: SearchSpec = Field(default_factory=AutoSearch, description="How it is searched.")
    judge: JudgeSpec = Field(default_factory=JudgeSpec, description="Which judge.")

    @field_validator("search", mode="before")
    @classmethod
    def _default_strategy(cls, value: Any) -> Any:
        # The union needs its tag; a recipe may leave it out.
        if isinstance(value, dict) and "strategy" not in value:
            return {"strategy": "auto", **value}
        return value

    _path: Path | None = PrivateAttr(None)
    _pairs: tuple[ImagePair, ...] = PrivateAttr(())

    @property
    def path(self) -> Path | None:
        """The file it was read from, absolute; None for one made from a mapping."""
        return self._path

    @property
    def pairs(self) -> tuple[ImagePair, ...]:
        """The pictures to tune on, sorted by name; empty when loaded with ``check_images=False``."""
        return self._pairs

    @property
    def reference_kind(self) -> Literal["files", "input", "incumbent"]:
        """Where the references come from."""
        reference = self.images.reference
        if reference == "input" or reference == "incumbent":
            return reference  # type: ignore[return-value]  # mypy does not narrow str to a literal
        return "files"

    def copy_with(self, **sections: Any) -> Recipe:
        """The same resolved recipe with other sections, such as ``search``."""
        recipe = self.model_copy(update=sections)
        recipe._path, recipe._pairs = self._path, self._pairs
        return recipe

    def resolved(self) -> dict[str, Any]:
        """Plain YAML-able data that loads to this same recipe from any folder (what a run folder keeps)."""
        data = self.model_dump(mode="json", exclude_none=True)
        if self._pairs:
            images = data["images"]
            images["input"] = [str(pair.input) for pair in self._pairs]
            if self.reference_kind == "files":
                images["reference"] = [str(pair.reference) for pair in self._pairs]
            for key in ("exclude", "skip", "limit"):
                images.pop(key, None)
        return data
