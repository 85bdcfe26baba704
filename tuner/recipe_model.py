"""The base of all sections of a recipe."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RecipeModel(BaseModel):
    """Base of all recipe sections: unknown keys refused, no silent conversions, numbers finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
