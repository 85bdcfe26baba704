"""``tuner schema``: what a recipe may hold."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli.output import emit_json


def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/recipe_keys.md instead.")] = False,
) -> None:
    """Print the JSON Schema of a recipe, for editors that check and complete while one types."""
    from tuner import recipe_schema

    if markdown:
        print(recipe_schema.markdown(), end="")
    else:
        emit_json(recipe_schema.json_schema())
