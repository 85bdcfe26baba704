"""The JSON Schema of a recipe, for editors, and the same as a Markdown page (docs/recipe_keys.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuner.recipe import Recipe

_HEAD = """# Recipe keys

Every key of a recipe, made from the models in `tuner/recipe*.py` by `tuner schema --markdown > docs/recipe_keys.md`.
Unknown keys are refused. Any key can be set from the command line: `--set search.trials=20`.

| key | type | default | meaning |
|---|---|---|---|
"""


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a recipe file."""
    schema = Recipe.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Pixel Perfect recipe"}


def markdown() -> str:
    """The keys as one Markdown table, in the order of the schema."""
    schema = json_schema()
    rows = [
        f"| `{key}` | {_type(field, schema)} | {_default(field, required)} | {_cell(field.get('description', ''))} |"
        for key, field, required in _keys(schema, schema, "")
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _keys(node: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(dotted key, its schema, whether it is required), depth first."""
    for name, field in node.get("properties", {}).items():
        key = f"{prefix}{name}"
        yield key, field, name in node.get("required", ())
        for suffix, child in _children(field, schema):
            yield from _keys(child, schema, f"{key}{suffix}.")


def _children(field: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mappings inside a key, with what is written between its name and theirs."""
    if "$ref" in field:
        yield "", schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
    elif any("$ref" in option for option in field.get("anyOf", ())):  # a mapping that may be left out
        for option in field["anyOf"]:
            if "$ref" in option:
                yield from _children(option, schema)
    elif "oneOf" in field:
        for option in field["oneOf"]:
            child = schema["$defs"][option["$ref"].rsplit("/", 1)[-1]]
            strategy = child["properties"]["strategy"]["const"]
            yield f" (strategy: {strategy})", child
    elif isinstance(field.get("additionalProperties"), dict) and "$ref" in field["additionalProperties"]:
        for _, child in _children(field["additionalProperties"], schema):
            yield ".NAME", child
    elif "$ref" in field.get("items", {}):
        for _, child in _children(field["items"], schema):
            yield "[]", child


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return "one of " + ", ".join(f"`{value}`" for value in field["enum"])
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        names = [_type(option, schema) for option in options if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(names))
    if "$ref" in field:
        return "mapping"
    kind = field.get("type", "")
    if kind == "array":
        return f"list of {_type(field['items'], schema)}"
    if kind == "object":
        values = field["additionalProperties"]
        return "mapping of NAME to anything" if values is True else f"mapping of NAME to {_type(values, schema)}"
    return {"string": "text", "boolean": "true/false"}.get(kind, kind) + _limits(field)


def _limits(field: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field]
    return f" ({', '.join(limits)})" if limits else ""


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    value = field.get("default")
    if value is None or value == "" or isinstance(value, dict | list):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
