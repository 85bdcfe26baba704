"""Numbers and file names as the report shows them."""

from __future__ import annotations

import math
from typing import Any

MINUS = "\N{MINUS SIGN}"


def plain(value: Any) -> str:
    """A parameter's or measure's value: four significant digits, thousands apart; anything not a number as it is.

    Examples:
        >>> plain(0.0123456), plain(12345.6), plain(3), plain("db2"), plain(None)
        ('0.01235', '12 346', '3', 'db2', '–')
    """
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", MINUS)
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        text = f"{value:.3g}"
    elif size >= 1000:
        text = f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    else:
        text = f"{value:.4g}"
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """A value with its sign and fixed decimals, for differences and excesses: ``+0.120``."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    rounded = round(value, digits)
    return f"{rounded + 0.0:+.{digits}f}".replace("-", MINUS) if rounded else f"{0:.{digits}f}"


def duration(seconds: float) -> str:
    """A time span in the units a person would say it in: ``0.42 s``, ``12.3 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def words(name: str) -> str:
    """A type's name as text: ``luma_noise`` becomes ``luma noise``."""
    return name.replace("_", " ")
