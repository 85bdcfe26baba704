"""The errors this project raises on purpose, and the hint that names the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PixelPerfectError(Exception):
    """Base of every error raised on purpose: the work failed (exit code 1 on the command line)."""


class UserError(PixelPerfectError, ValueError):
    """The input is wrong and the user can mend it: one line on the command line, exit code 2."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of ``known``, or ``""`` when nothing is near.

    Examples:
        >>> suggest("luma_nois", ["blur", "luma_noise"])
        "; did you mean 'luma_noise'?"
        >>> suggest("zzz", ["blur"])
        ''
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
