"""YAML with positions: the data of a file, the line of every key, duplicates refused, ``--set`` and ${VARIABLE}."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pixelperfect_models.errors import UserError

KeyPath = tuple[str | int, ...]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class _Loader(yaml.SafeLoader):
    """SafeLoader that also reads ``1e-3`` as a number, as YAML 1.2 does (PyYAML wants ``1.0e-3``)."""


# Resolvers are tried in the order they were added; a text that matches this one matches no other of SafeLoader's.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def dotted(path: KeyPath) -> str:
    """``("a", "b", 0)`` as ``a.b.0``."""
    return ".".join(str(part) for part in path)


class Source:
    """A recipe's data and where each key of it was written.

    Attributes:
        data: plain dicts, lists and scalars.
        label: the file name that errors start with.
    """

    def __init__(self, data: dict[str, Any], label: str, lines: Mapping[KeyPath, int]) -> None:
        self.data = data
        self.label = label
        self._lines = dict(lines)
        self._overrides: dict[KeyPath, str] = {}
        self._problems: list[tuple[int, KeyPath, str]] = []  # line, key, whole message

    def problem(self, path: KeyPath, message: str) -> None:
        """Record that ``message`` is wrong with the key at ``path``."""
        line, where = self._where(path)
        key = f"{dotted(path)}: " if path else ""
        entry = (line, path, f"{where}: {key}{message}")
        if entry not in self._problems:
            self._problems.append(entry)

    def has_problems_below(self, key: str) -> bool:
        """Whether a problem was recorded with ``key`` of the top level or anything in it."""
        return any(key in path[:1] for _, path, _ in self._problems)

    def sound_data(self) -> dict[str, Any]:
        """A copy of the data without the keys that problems were recorded for."""
        data = copy.deepcopy(self.data)
        for _, path, _ in self._problems:
            node: Any = data
            for part in path[:-1]:
                node = node[part] if has_entry(node, part) else None
            if isinstance(node, dict) and path:
                node.pop(path[-1], None)
        return data

    def raise_problems(self) -> None:
        """Raise one UserError with a line for each problem, in the file's order; nothing when there is none."""
        if self._problems:
            raise UserError("\n".join(text for _, _, text in sorted(self._problems, key=lambda entry: entry[0])))

    def _where(self, path: KeyPath) -> tuple[int, str]:
        for length in range(len(path), -1, -1):
            prefix = path[:length]
            if prefix in self._overrides:
                return 1_000_000_000, f"{self.label}: --set {self._overrides[prefix]}"
            if prefix in self._lines:
                return self._lines[prefix], f"{self.label}:{self._lines[prefix]}"
        return 0, self.label

    def override(self, assignment: str) -> None:
        """Apply ``key.path=value``, the value parsed as YAML; list entries by number, mappings made as needed."""
        key, equals, text = assignment.partition("=")
        path: KeyPath = tuple(int(part) if part.isdigit() else part for part in key.strip().split("."))
        if not equals or "" in path:
            raise UserError(f"--set {assignment}: expected key.path=value, for example search.trials=20")
        try:
            value = yaml.load(text, Loader=_Loader)
        except yaml.YAMLError as error:
            raise UserError(f"--set {assignment}: the value is not YAML ({_yaml_reason(error)})") from None
        node: Any = self.data
        for index, part in enumerate(path):
            last = index == len(path) - 1
            if isinstance(node, dict):
                part = str(part)
                node[part] = value if last else node.get(part) if node.get(part) is not None else {}
                node = node[part]
            elif isinstance(node, list) and isinstance(part, int) and part <= len(node):
                if part == len(node):
                    node.append({})
                node[part] = value if last else node[part]
                node = node[part]
            elif isinstance(node, list):
                raise UserError(
                    f"--set {assignment}: {dotted(path[:index])} has {len(node)} entries, found '{part}', "
                    f"expected a number from 0 to {len(node)}"
                )
            else:
                raise UserError(f"--set {assignment}: {dotted(path[:index])} is {found(node)}, it has no keys")
        self._overrides[path] = assignment

    def expand_variables(self) -> None:
        """Replace ${NAME} in every text by the environment variable; unset ones are recorded as problems."""
        self.data = self._expand((), self.data)

    def _expand(self, path: KeyPath, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._expand((*path, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._expand((*path, index), item) for index, item in enumerate(value)]
        if isinstance(value, str):

            def replace(match: re.Match[str]) -> str:
                if match[1] in os.environ:
                    return os.environ[match[1]]
                self.problem(path, f"found ${{{match[1]}}}, expected an environment variable that is set")
                return match[0]

            return _VARIABLE.sub(replace, value)
        return value


def read_source(path: Path, overrides: Sequence[str] = ()) -> Source:
    """Read a YAML file whose top level is a mapping.

    Raises:
        UserError: no such file, not YAML, duplicate keys, keys that are not text, or a bad override.
    """
    label = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{label}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{label}: a folder, expected a recipe file") from None
    except UnicodeDecodeError:
        raise UserError(f"{label}: not a text file in UTF-8, expected a YAML recipe") from None
    except OSError as error:
        raise UserError(f"{label}: cannot be read ({error.strerror})") from None
    lines: dict[KeyPath, int] = {}
    loader: Any = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise UserError(f"{label}: the file is empty, expected a recipe")
        _refuse_duplicates(node, label)
        data = loader.construct_document(node)
        if not isinstance(data, dict):
            raise UserError(f"{label}:1: found {found(data)}, expected a mapping (key: value)")
        # After construct_document the node tree has its merge keys (<<) resolved, like the data.
        lines.update(_positions((), node, ()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{label}:{mark.line + 1}" if mark is not None else label
        raise UserError(f"{where}: not valid YAML: {_yaml_reason(error)}") from None
    except RecursionError:
        raise UserError(f"{label}: an alias contains itself, expected a finite recipe") from None
    finally:
        if loader is not None:
            loader.dispose()
    source = Source(data, label, lines)
    for assignment in overrides:
        source.override(assignment)
    return source


def found(value: Any) -> str:
    """A value as an error message names it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"{str(value).lower()} (true/false)"
    if isinstance(value, int):
        return f"{value} (integer)"
    if isinstance(value, float):
        return f"{value:g} (number)"
    if isinstance(value, str):
        return f"'{value}' (text)"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return f"{value} ({type(value).__name__})"


def has_entry(node: Any, part: str | int) -> bool:
    """Whether ``node[part]`` is there: a key of a mapping, an index of a list."""
    if isinstance(node, list):
        return isinstance(part, int) and 0 <= part < len(node)
    return isinstance(node, dict) and part in node


def _yaml_reason(error: yaml.YAMLError) -> str:
    parts = [getattr(error, "context", None), getattr(error, "problem", None) or getattr(error, "reason", None)]
    return ", ".join(" ".join(str(part).split()) for part in parts if part) or "unreadable characters"


def _refuse_duplicates(root: yaml.Node, label: str) -> None:
    problems: list[str] = []
    seen_nodes: set[int] = set()
    pending: list[yaml.Node] = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen_nodes:
            continue
        seen_nodes.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending.extend(reversed(node.value))
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                merge = key.tag == "tag:yaml.org,2002:merge"
                if not merge and key.tag != "tag:yaml.org,2002:str":
                    shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                    problems.append(f"{label}:{line}: found the key {shown}, expected text (quote it: '{shown}')")
                elif key.value in first:
                    problems.append(
                        f"{label}:{line}: {key.value}: the key is written twice (also in line {first[key.value]}), "
                        "expected once"
                    )
                else:
                    first[key.value] = line
            pending.extend(value for _, value in reversed(node.value))
    if problems:
        raise UserError("\n".join(problems))


def _positions(path: KeyPath, node: yaml.Node, above: tuple[int, ...]) -> Iterator[tuple[KeyPath, int]]:
    if id(node) in above:
        raise RecursionError
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from _positions((*path, key.value), value, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), value.start_mark.line + 1
            yield from _positions((*path, index), value, above)
