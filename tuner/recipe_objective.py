"""The recipe's objective: score, artefacts minded, what costs, what is bounded, what is weighed against the value."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import suggest
from tuner.recipe_model import RecipeModel

REGIONS = ("all", "shadows", "highlights", "edges", "flat")
"""The regions with a name; any other region is the path of a mask file."""


def _channel(value: str) -> str:
    if value not in CHANNELS:
        raise PydanticCustomError(
            "unknown_name",
            "found {found}, expected a distortion type ({known}){hint}",
            {"found": repr(value), "known": ", ".join(CHANNELS), "hint": suggest(value, CHANNELS)},
        )
    return value


Channel = Annotated[str, AfterValidator(_channel), Field(json_schema_extra={"enum": list(CHANNELS)})]


class ScoreTerm(RecipeModel):
    """The scoring network's part in the objective."""

    weight: float = Field(default=1.0, ge=0, description="Weight of the score; 0 searches by the penalties alone.")
    kind: Literal["relational", "difference"] = Field(
        default="relational",
        description=(
            "`relational`: positive where the output looks better than its reference. `difference`: the reference is "
            "the truth, and the score is minus how far from it the output looks."
        ),
    )


class PenaltyTerm(RecipeModel):
    """One artefact minded: weight * max(0, statistic(excess) - above), where excess is how much more of it the
    output has than its reference, in intensity units, 0 none to 1 severe."""

    type: Channel = Field(description="Distortion type (`tuner list types`).")
    weight: float = Field(default=1.0, ge=0, description="How much it is minded.")
    above: float = Field(default=0.0, ge=0, lt=1, description="Tolerance: excess up to this costs nothing, 0 to 1.")
    statistic: Literal["mean", "p95", "max"] = Field(
        default="mean",
        description="Over the region: the mean, the mean of the highest five per cent, or the largest value.",
    )
    region: str = Field(
        default="all",
        min_length=1,
        description=(
            f"Where it is minded: {', '.join(f'`{name}`' for name in REGIONS)}, or a mask file relative to the "
            "recipe (white is inside, same size as the pictures)."
        ),
    )


class Constraint(RecipeModel):
    """A bound on a measurement of the pipeline. Parameters that break it never win against any that keep it."""

    measure: str = Field(min_length=1, description="`seconds`, or another measure that the pipeline reports.")
    at_most: float | None = Field(default=None, description="Largest value allowed.")
    at_least: float | None = Field(default=None, description="Smallest value allowed.")

    @model_validator(mode="after")
    def _bounded(self) -> Constraint:
        if self.at_most is None and self.at_least is None:
            raise PydanticCustomError("constraint", "found neither at_most nor at_least, expected one or both")
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise PydanticCustomError(
                "constraint",
                "found at_least: {low} above at_most: {high}, expected at_least <= at_most",
                {"low": f"{self.at_least:g}", "high": f"{self.at_most:g}"},
            )
        return self


class CostTerm(RecipeModel):
    """A measurement of the pipeline that costs: weight * measure is taken from the objective."""

    measure: str = Field(min_length=1, description="`seconds`, or another measure that the pipeline reports.")
    weight: float = Field(default=1.0, ge=0, description="Objective units for one unit of the measure.")


class ParetoTerm(RecipeModel):
    """A measurement of the pipeline that is an objective of its own, beside the value."""

    measure: str = Field(min_length=1, description="`seconds`, or another measure that the pipeline reports.")
    goal: Literal["minimize", "maximize"] = Field(default="minimize", description="Which way is better.")


class Objective(RecipeModel):
    """What is maximised: score.weight * score - the penalties - the costs, averaged over the pictures."""

    score: ScoreTerm = Field(default_factory=ScoreTerm, description="The relational score's part.")
    penalties: list[PenaltyTerm] = Field(default_factory=list, description="Artefacts minded, one entry each.")
    costs: list[CostTerm] = Field(
        default_factory=list, description="Measurements that cost, such as bytes; descended on where differentiable."
    )
    constraints: list[Constraint] = Field(default_factory=list, description="Bounds on measurements.")
    pareto: list[ParetoTerm] = Field(
        default_factory=list,
        description=(
            "Measurements weighed against the value instead of into it: the search looks for the Pareto front of the "
            "value and these (`pareto.json` in the run's folder). `best` stays the trial of the best value."
        ),
    )

    @model_validator(mode="after")
    def _something(self) -> Objective:
        if self.score.weight == 0 and not any(penalty.weight > 0 for penalty in self.penalties):
            raise PydanticCustomError(
                "objective", "found score.weight: 0 and no penalty with a weight, expected something to judge by"
            )
        return self

    @field_validator("pareto")
    @classmethod
    def _distinct(cls, terms: list[ParetoTerm]) -> list[ParetoTerm]:
        measures = [term.measure for term in terms]
        twice = [measure for measure in dict.fromkeys(measures) if measures.count(measure) > 1]
        if twice:
            raise PydanticCustomError(
                "pareto", "found {names} twice, expected each measure once", {"names": ", ".join(twice)}
            )
        return terms
