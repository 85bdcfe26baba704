"""Printing: rich tables on a terminal, tab-separated lines otherwise, JSON when asked for.

Rich honours NO_COLOR by itself.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from tuner.json_numbers import finite

_NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?|")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print rows: a rich table on a terminal, else a line of column names and a line for each row, tab-separated.

    Numbers are given four significant digits.
    """
    texts = [[_text(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [list(columns), *texts]:
            print("\t".join(re.sub(r"[\t\r\n]+", " ", text) for text in line))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=title or None, title_justify="left")
    for index, column in enumerate(columns):
        numeric = all(_NUMBER.fullmatch(line[index]) for line in texts)
        # Names, in the first column, stay whole; what explains them folds.
        drawn.add_column(column, justify="right" if numeric else "left", no_wrap=index == 0, overflow="fold")
    for line in texts:
        drawn.add_row(*(escape(text) for text in line))
    Console().print(drawn)


def facts(rows: Sequence[Sequence[Any]]) -> None:
    """Print a name and what it is in each line: aligned on a terminal, tab-separated otherwise."""
    texts = [[_text(value) for value in row] for row in rows]
    width = max((len(line[0]) for line in texts), default=0)
    for name, *values in texts:
        print("  ".join([name.ljust(width), *values]) if sys.stdout.isatty() else "\t".join([name, *values]))


def emit_json(data: Any) -> None:
    """Print ``data`` as JSON; numbers that are not finite, which JSON has not, become null."""
    print(json.dumps(finite(data), indent=2, ensure_ascii=False))


def note(message: str) -> None:
    """Print a remark for the person at the terminal: to stderr, so that it never mixes with results."""
    print(message, file=sys.stderr)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
