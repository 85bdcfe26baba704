"""One picture that shows test, reference and every distortion map, for ``tuner compare`` and a run's ``maps/``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tuner.map_summary import summarize
from tuner.overlays import legend_colours, overlay
from tuner.regions import Region

_GROUND = (24, 26, 31)
_TILE_GROUND = (12, 13, 16)
_INK = (238, 240, 244)
_DIM = (158, 164, 174)
_BOX = (255, 255, 255)
_TILE = 300  # pixels across; five tiles and two large pictures fit a 1600 pixel wide sheet
_COLUMNS = 5
_GAP = 16
_CAPTION = 44


def map_sheet(
    test: np.ndarray,
    ref: np.ndarray,
    excess: np.ndarray,
    types: Sequence[str],
    score: float,
    names: tuple[str, str] = ("test", "reference"),
    regions: Sequence[Region | None] | None = None,
) -> np.ndarray:
    """Draw test and reference side by side, then one overlay per distortion type, then the legend.

    Args:
        test, ref: (H, W, 3) float32 in [0, 1].
        excess: signed excess of ``test`` over ``ref``, (K, H, W) in [-1, 1].
        types: the K names, in the order of ``excess``.
        score: the relational score of test against ref; positive where test looks better.
        names: what to call test and reference.
        regions: a box to outline on each map, or None for a map without one.

    Returns:
        The sheet, (H', W', 3) float32 in [0, 1].

    Raises:
        ValueError: the number of types and of maps differ.
    """
    if len(types) != len(excess):
        raise ValueError(f"{len(types)} type names for {len(excess)} maps")
    width = _GAP + _COLUMNS * (_TILE + _GAP)
    large = (width - 3 * _GAP) // 2
    aspect = test.shape[0] / test.shape[1]
    large_height, tile_height = _fit(large, aspect), _fit(_TILE, aspect)
    rows = -(-len(types) // _COLUMNS)
    maps_top = 64 + _CAPTION + large_height + _GAP
    height = maps_top + rows * (_CAPTION + tile_height + _GAP) + 76

    sheet = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    _headline(draw, score, names)
    for place, (name, picture) in enumerate(zip(names, (test, ref), strict=True)):
        left = _GAP + place * (large + _GAP)
        draw.text((left, 76), _shorten(draw, name, large, _font(17)), fill=_INK, font=_font(17))
        _paste(sheet, picture, left, 64 + _CAPTION, large, large_height)
    for place, name in enumerate(types):
        left = _GAP + place % _COLUMNS * (_TILE + _GAP)
        top = maps_top + place // _COLUMNS * (_CAPTION + tile_height + _GAP)
        values = excess[place]
        _caption(draw, left, top, name, values)
        _paste(sheet, overlay(test, values), left, top + _CAPTION, _TILE, tile_height)
        region = regions[place] if regions is not None else None
        if region is not None:
            _outline(draw, region, left, top + _CAPTION, (_TILE, tile_height), test.shape[:2])
    _legend(sheet, draw, height - 62, width)
    return np.asarray(sheet, dtype=np.float32) / 255.0


def _fit(width: int, aspect: float) -> int:
    # A very tall picture is shown in a tile at most twice as high as wide, letterboxed.
    return max(16, min(round(width * aspect), 2 * width))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _paste(sheet: Image.Image, picture: np.ndarray, left: int, top: int, width: int, height: int) -> None:
    pixels = Image.fromarray(np.round(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8))
    scale = min(width / pixels.width, height / pixels.height)
    size = max(1, round(pixels.width * scale)), max(1, round(pixels.height * scale))
    way = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    sheet.paste(Image.new("RGB", (width, height), _TILE_GROUND), (left, top))
    sheet.paste(pixels.resize(size, way), (left + (width - size[0]) // 2, top + (height - size[1]) // 2))


def _headline(draw: ImageDraw.ImageDraw, score: float, names: tuple[str, str]) -> None:
    draw.text((_GAP, 18), f"score {score:+.3f}", fill=_INK, font=_font(28))
    left = _GAP + draw.textlength(f"score {score:+.3f}", font=_font(28)) + 20
    verdict = "the two are alike" if score == 0 else f"{names[0] if score > 0 else names[1]} looks better"
    draw.text((left, 28), verdict, fill=_DIM, font=_font(17))


def _caption(draw: ImageDraw.ImageDraw, left: int, top: int, name: str, values: np.ndarray) -> None:
    draw.text((left, top), name.replace("_", " "), fill=_INK, font=_font(17))
    found = summarize(values)
    numbers = f"mean {_signed(found.mean)}   p95 {_signed(found.p95)}   max {_signed(found.max)}"
    draw.text((left, top + 23), numbers, fill=_DIM, font=_font(13))


def _signed(value: float) -> str:
    return f"{value:+.3f}" if abs(value) >= 0.0005 else "0.000"


def _outline(
    draw: ImageDraw.ImageDraw, region: Region, left: int, top: int, tile: tuple[int, int], shape: tuple[int, ...]
) -> None:
    scale = min(tile[0] / shape[1], tile[1] / shape[0])
    left += round((tile[0] - shape[1] * scale) / 2)
    top += round((tile[1] - shape[0] * scale) / 2)
    corners = (
        left + region.left * scale,
        top + region.top * scale,
        left + (region.left + region.width) * scale - 1,
        top + (region.top + region.height) * scale - 1,
    )
    draw.rectangle(corners, outline=_BOX, width=2)


def _legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int, width: int) -> None:
    bar = legend_colours((128, 128, 128), 500)
    left = (width - 500) // 2
    sheet.paste(Image.fromarray(np.repeat(bar[None], 14, axis=0)), (left, top))
    for value in (-1.0, -0.5, 0.0, 0.5, 1.0):
        x = left + round((value + 1.0) / 2.0 * 499)
        draw.line((x, top + 14, x, top + 19), fill=_DIM)
        draw.text((x, top + 22), f"{value:+g}" if value else "0", fill=_DIM, font=_font(13), anchor="ma")
    draw.text((left - 12, top + 7), "reference has more", fill=_INK, font=_font(15), anchor="rm")
    draw.text((left + 512, top + 7), "test has more", fill=_INK, font=_font(15), anchor="lm")
    note = "signed excess in intensity units; clear = alike; box = worst region"
    draw.text((width // 2, top + 42), note, fill=_DIM, font=_font(13), anchor="ma")


def _shorten(
    draw: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    while draw.textlength(text, font=font) > width and len(text) > 4:
        text = "..." + text[4:]
    return text
