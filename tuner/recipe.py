"""The recipe: what to tune, on which pictures, for which objective, by which search.

These are the models of the YAML file only, those of its objective in :mod:`tuner.recipe_objective`, of its search in
:mod:`tuner.recipe_search`. Reading a file with line numbers is :mod:`tuner.recipe_file`, finding and pairing the
pictures :mod:`tuner.recipe_images`, agreement with the pipeline :mod:`tuner.recipe_pipeline`.
Every key is documented here, in ``Field(description=...)``: the JSON Schema and docs/recipe_keys.md come from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tuner.recipe_model import RecipeModel
from tuner.recipe_objective import Objective
from tuner.recipe_search import AutoSearch, SearchSpec, TrainSearch

Scalar = bool | int | float | str

CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints of a training, below the run's folder."""


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


REFERENCE_WORDS = ("input", "incumbent", "rehearsal")
"""What ``images.reference`` may say instead of naming files."""


class ImagesSpec(RecipeModel):
    """The pictures. Paths and globs are relative to the recipe's folder; absolute paths and ${VARIABLE} work too."""

    input: str | list[str] = Field(min_length=1, description="Path, glob or list of them: what the pipeline is given.")
    reference: str | list[str] = Field(
        min_length=1,
        description=(
            "Path, glob or list of them: what the output is judged against, paired with the inputs by file name "
            "where the names agree, otherwise in sorted order. `input`: the input itself (compression). "
            "Without a ground truth, `rehearsal`: each input at half its size and cleaned; the pipeline is given that "
            "with the input's own noise on it (docs/rehearsal.md). Or `incumbent`: the best output so far "
            "(docs/incumbent.md)."
        ),
    )
    anchors: int = Field(
        default=3,
        ge=2,
        description=(
            "With `reference: incumbent`: how many earlier outputs a candidate is compared with, those of the first "
            "trial and of the latest bests (docs/incumbent.md)."
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


class JudgeSpec(RecipeModel):
    """Which judge; left out, the one that ships with the package."""

    weights: str | None = Field(default=None, description="Folder of trained weights, relative to the recipe.")


@dataclass(frozen=True)
class ImagePair:
    """One picture to tune on.

    Attributes:
        name: unique within the recipe, fit for a file name (the input's stem).
        input: absolute path.
        reference: absolute path, or None where the recipe says one of :data:`REFERENCE_WORDS`.
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
    def reference_kind(self) -> Literal["files", "input", "incumbent", "rehearsal"]:
        """Where the references come from."""
        reference = self.images.reference
        if reference in REFERENCE_WORDS:
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
        if isinstance(self.search, TrainSearch):
            # Relative to the recipe that the run's folder keeps: the folder may be moved.
            data["pipeline"]["options"] = {**data["pipeline"]["options"], "checkpoints": CHECKPOINTS}
        return data
