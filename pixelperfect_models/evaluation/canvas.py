"""A small drawing surface with axes, on Pillow: what the evaluation's plots are drawn on.

Own drawing in place of a plotting library: two kinds of plot do not justify one among the dependencies.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
Point = tuple[float, float]

INK: Color = (34, 34, 38)
FAINT: Color = (222, 222, 226)
GREY: Color = (120, 120, 128)

SHARPNESS = 3
"""Everything is drawn this many times larger and averaged down: Pillow's shapes have no smooth edges."""

MARKS = ("disc", "square", "triangle", "diamond")


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``low`` to ``high``, drawn from pixel ``start`` to pixel ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    @classmethod
    def around(cls, values: np.ndarray, start: float, stop: float, margin: float = 0.04) -> Axis:
        """An axis that shows all of ``values`` with a margin."""
        low, high = float(values.min()), float(values.max())
        room = margin * (high - low) or 0.5
        return cls(low - room, high + room, start, stop)

    def at(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self, count: int = 6) -> list[float]:
        """About ``count`` round values between ``low`` and ``high``."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


class Canvas:
    """A white picture of ``width`` x ``height`` pixels; coordinates are pixels from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._picture = Image.new("RGB", (width * SHARPNESS, height * SHARPNESS), "white")
        self._draw = ImageDraw.Draw(self._picture)

    def text(self, at: Point, text: str, size: float = 13, color: Color = INK, anchor: str = "la") -> None:
        """Write a line. ``anchor`` as Pillow has it: l, m, r by a, m, s (ascender, middle, baseline)."""
        self._draw.text(_scaled(at), text, fill=color, font=_font(size), anchor=anchor)

    def text_width(self, text: str, size: float = 13) -> float:
        """How many pixels wide a line of text is."""
        return self._draw.textlength(text, font=_font(size)) / SHARPNESS

    def sideways(self, at: Point, text: str, size: float = 13) -> None:
        """Write a line that reads upwards, centred at a point."""
        left, top, right, bottom = _font(size).getbbox(text)
        label = Image.new("L", (int(right - left) + 2 * SHARPNESS, int(bottom - top) + 2 * SHARPNESS), 0)
        ImageDraw.Draw(label).text((SHARPNESS - left, SHARPNESS - top), text, fill=255, font=_font(size))
        label = label.rotate(90, expand=True)
        x, y = _scaled(at)
        self._picture.paste(
            Image.new("RGB", label.size, INK), (int(x - label.width / 2), int(y - label.height / 2)), label
        )

    def line(self, points: Sequence[Point], color: Color = INK, width: float = 1.0) -> None:
        """Join points by straight lines."""
        self._draw.line([_scaled(point) for point in points], fill=color, width=round(width * SHARPNESS), joint="curve")

    def mark(self, at: Point, kind: str = "disc", color: Color = INK, radius: float = 3.5) -> None:
        """One of :data:`MARKS`, with a thin white rim so that neighbours stay apart."""
        for size, fill in ((radius + 0.7, (255, 255, 255)), (radius, color)):
            x, y = at
            if kind == "disc":
                self._draw.ellipse([*_scaled((x - size, y - size)), *_scaled((x + size, y + size))], fill=fill)
            else:
                corners = {
                    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
                    "triangle": [(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
                    "diamond": [(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)],
                }[kind]
                self._draw.polygon([_scaled((x + size * a, y + size * b)) for a, b in corners], fill=fill)

    def frame(self, x: Axis, y: Axis, x_title: str, y_title: str) -> None:
        """Grid, ticks and titles of a plot with two axes."""
        for value in x.ticks():
            self.line([(x.at(value), y.start), (x.at(value), y.stop)], FAINT)
            self.text((x.at(value), y.start + 6), tick_text(value), 12, GREY, "ma")
        for value in y.ticks():
            self.line([(x.start, y.at(value)), (x.stop, y.at(value))], FAINT)
            self.text((x.start - 7, y.at(value)), tick_text(value), 12, GREY, "rm")
        self.line([(x.start, y.stop), (x.start, y.start), (x.stop, y.start)], GREY)
        self.text(((x.start + x.stop) / 2, y.start + 26), x_title, 13, INK, "ma")
        self.sideways((x.start - 48, (y.start + y.stop) / 2), y_title, 13)

    def array(self) -> np.ndarray:
        """The picture as (height, width, 3) float32 in [0, 1]."""
        return np.asarray(self._picture.resize(self.size, Image.Resampling.BOX), dtype=np.float32) / 255.0


def tick_text(value: float) -> str:
    """A number for an axis, without a trail of zeros. With a hyphen: Pillow's own font has no minus sign."""
    return f"{0.0 if abs(value) < 1e-12 else value:.6g}"


def palette(count: int) -> list[tuple[Color, str]]:
    """``count`` pairs of colour and mark: hues evenly round the circle, neighbours apart in mark and lightness."""
    found = []
    for index in range(count):
        lightness = (0.42, 0.62, 0.50)[index % 3]
        red, green, blue = colorsys.hls_to_rgb(index / max(1, count), lightness, 0.72)
        found.append(((round(255 * red), round(255 * green), round(255 * blue)), MARKS[index % len(MARKS)]))
    return found


def _scaled(point: Point) -> Point:
    return point[0] * SHARPNESS, point[1] * SHARPNESS


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SHARPNESS)
