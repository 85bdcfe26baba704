"""A table of numbers as a picture: one coloured cell each, with row and column names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_CELL, _GAP, _TOP = (52, 22), 1, 150
_INK, _PAPER = (30, 33, 40), (255, 255, 255)
# White to deep red, by way of amber: dark where a channel answers loudly.
_STOPS = np.array([(255, 255, 255), (255, 226, 150), (243, 130, 60), (160, 16, 40)], dtype=np.float64)


def heat_map(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], marked: np.ndarray, highest: float, title: str
) -> np.ndarray:
    """Draw an (R, C) table.

    Args:
        values: numbers from 0 to ``highest`` (deepest colour; above it stays).
        rows, columns: their names.
        marked: (R, C) bool, cells to outline.
        title: one line above.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    labels, font = [name.replace("_", " ") for name in rows], ImageFont.load_default(13)
    margin = max(230, 20 + round(max(font.getlength(label) for label in labels)))
    width = margin + len(columns) * (_CELL[0] + _GAP) + 60
    height = _TOP + len(rows) * (_CELL[1] + _GAP) + 12
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((10, 8), title, fill=_INK, font=ImageFont.load_default(15))
    for place, name in enumerate(columns):
        strip = Image.new("RGB", (140, 18), _PAPER)
        ImageDraw.Draw(strip).text((0, 1), name.replace("_", " "), fill=_INK, font=font)
        turned = strip.rotate(60, expand=True, fillcolor=_PAPER)
        left = margin + place * (_CELL[0] + _GAP) + 12
        sheet.paste(turned, (left, _TOP - turned.height - 2), turned.convert("L").point(lambda v: 255 * (v < 250)))
    for row, label in enumerate(labels):
        top = _TOP + row * (_CELL[1] + _GAP)
        draw.text((margin - 8, top + 11), label, fill=_INK, font=font, anchor="rm")
        for column in range(len(columns)):
            left = margin + column * (_CELL[0] + _GAP)
            share = float(np.clip(values[row, column] / highest, 0.0, 1.0))
            box = (left, top, left + _CELL[0] - 1, top + _CELL[1] - 1)
            draw.rectangle(box, fill=_colour(share))
            if marked[row, column]:
                draw.rectangle(box, outline=(20, 60, 200), width=2)
            ink = _INK if share < 0.6 else _PAPER
            middle = (left + _CELL[0] // 2, top + _CELL[1] // 2)
            draw.text(middle, f"{values[row, column]:.2f}", fill=ink, font=ImageFont.load_default(12), anchor="mm")
    return np.asarray(sheet, dtype=np.float32) / 255


def _colour(share: float) -> tuple[int, int, int]:
    position = share * (len(_STOPS) - 1)
    low = min(int(position), len(_STOPS) - 2)
    red, green, blue = _STOPS[low] + (position - low) * (_STOPS[low + 1] - _STOPS[low])
    return round(red), round(green), round(blue)
