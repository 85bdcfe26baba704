"""JPEG's quantisation tables."""

from __future__ import annotations

import numpy as np

LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 32),
)
"""ITU-T T.81, annex K.1, tables K.1 and K.2, row by row."""


def quality_scale(quality: float) -> float:
    """The factor on the standard's tables at libjpeg's ``quality`` (1 to 100, fractions allowed)."""
    return (50.0 / quality) if quality < 50 else (2.0 - quality / 50.0)


def standard_tables(quality: float) -> tuple[list[int], list[int]]:
    """Luma and chroma table, 64 numbers of 1 to 255 each, row by row, as libjpeg scales them."""
    scale = quality_scale(quality)
    return whole_numbers(np.asarray(LUMA) * scale), whole_numbers(np.asarray(CHROMA) * scale)


def whole_numbers(table: np.ndarray) -> list[int]:
    """64 steps as a baseline file can hold them: whole numbers of 1 to 255."""
    return [int(step) for step in np.clip(np.floor(np.asarray(table).reshape(-1) + 0.5), 1, 255)]
