"""Pydantic's findings in the recipe's words: which key, what was found, what is expected, the nearest name."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from pixelperfect_models.errors import suggest
from tuner.recipe_search import (
    AutoSearch,
    CompositeSearch,
    GradientSearch,
    HybridSearch,
    OptunaSearch,
    SweepSearch,
    TrainSearch,
)
from tuner.recipe_yaml import KeyPath, Source, found, has_entry

_STRATEGIES: dict[str, type[BaseModel]] = {
    "auto": AutoSearch,
    "composite": CompositeSearch,
    "gradient": GradientSearch,
    "hybrid": HybridSearch,
    "optuna": OptunaSearch,
    "sweep": SweepSearch,
    "train": TrainSearch,
}

_EXPECTED = {
    "string_type": "text",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "finite_number": "a finite number",
    "too_short": "at least one entry",
    "string_too_short": "text that is not empty",
}


def report(source: Source, errors: list[ErrorDetails], root: type[BaseModel]) -> None:
    """Record every pydantic error of validating ``source.data`` against ``root`` as a problem of the source."""
    grouped: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        grouped.setdefault(_key_path(source.data, error), []).append(error)
    for path, group in grouped.items():
        deeper = any(other[: len(path)] == path and other != path for other in grouped)
        if deeper and all(error["type"].endswith("_type") for error in group):
            continue  # one branch of a union: the other branch fitted better and says what is wrong inside
        for message in _messages(source.data, path, group, root):
            source.problem(path, message)


def _key_path(data: Any, error: ErrorDetails) -> KeyPath:
    """The error's location without the union tags that pydantic puts in between."""
    path: list[str | int] = []
    node = data
    location = error["loc"]
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if has_entry(node, part):
            node = node[part]
        elif not (last and error["type"] == "missing"):
            continue
        path.append(part)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path.append("strategy")
    return tuple(path)


def _messages(data: Any, path: KeyPath, group: list[ErrorDetails], root: type[BaseModel]) -> list[str]:
    expected = [_EXPECTED[error["type"]] for error in group if error["type"] in _EXPECTED]
    others = [error for error in group if error["type"] not in _EXPECTED]
    messages = [_other(data, path, error, root) for error in others]
    if expected:
        wanted = " or ".join(dict.fromkeys(expected))
        messages.append(f"found {found(group[0]['input'])}, expected {wanted}")
    return messages


def _other(data: Any, path: KeyPath, error: ErrorDetails, root: type[BaseModel]) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        return "missing, expected this key"
    if kind == "extra_forbidden":
        return _unknown_key(data, path, root)
    if kind == "literal_error":
        wanted = context["expected"]
        return f"found {found(value)}, expected {wanted}{suggest(str(value), _quoted(wanted))}"
    if kind == "union_tag_invalid":
        return f"found '{context['tag']}', expected {', '.join(_STRATEGIES)}{suggest(context['tag'], _STRATEGIES)}"
    for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if name in context:
            return f"found {value:g}, expected {sign} {context[name]:g}"
    if error["msg"].startswith("found "):  # our own validators
        return error["msg"]
    return f"found {found(value)}: {error['msg']}"


def _quoted(text: str) -> list[str]:
    return text.split("'")[1::2]


def _unknown_key(data: Any, path: KeyPath, root: type[BaseModel]) -> str:
    key = str(path[-1])
    model = _model_at(data, path[:-1], root)
    known = list(model.model_fields) if model else []
    message = f"unknown key, expected {', '.join(known)}{suggest(key, known)}"
    if path[0] == "search":
        owners = [name for name, strategy in _STRATEGIES.items() if key in strategy.model_fields]
        if owners:
            message = f"found with strategy: {_strategy(data)}, expected with strategy: {' or '.join(owners)}"
    return message


def _strategy(data: Any) -> str:
    return str(data["search"].get("strategy", "auto"))


def _model_at(data: Any, path: KeyPath, root: type[BaseModel]) -> type[BaseModel] | None:
    """The model that the mapping at ``path`` is read into."""
    annotation: Any = root
    for part in path:
        if typing.get_origin(annotation) in (dict, list):
            annotation = typing.get_args(annotation)[-1]
            continue
        model = _first_model(annotation)
        if model is None or part not in model.model_fields:
            return None
        if model is root and part == "search":
            annotation = _STRATEGIES.get(_strategy(data))
        else:
            annotation = model.model_fields[str(part)].annotation
    return _first_model(annotation)


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        model = _first_model(argument)
        if model is not None:
            return model
    return None
