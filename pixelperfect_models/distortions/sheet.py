"""Contact sheet of the distortion types: to see what the intensities look like on one's own photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pixelperfect_models.distortions import severity
from pixelperfect_models.distortions.render import render
from pixelperfect_models.distortions.spatial import intensity_map
from pixelperfect_models.distortions.table import DISTORTIONS

_LINE = 13  # px, height of a caption line
_CAPTION = 2 * _LINE + 2  # px above every row of tiles
_GAP = 4  # px between tiles
_PAPER = 0.12
_FONT_SIZE = 10


def _centre(photo: np.ndarray, tile: int) -> np.ndarray:
    # Cropped, not scaled: artefacts must be seen pixel for pixel.
    top, left = (max(0, (extent - tile) // 2) for extent in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + tile, left : left + tile], dtype=np.float32)


def _row(crop: np.ndarray, name: str, intensities: Sequence[float], seed: int) -> list[tuple[str, np.ndarray]]:
    # (caption, tile) of one type; every tile from the same random state, so only the intensity differs.
    distortion = DISTORTIONS[name]
    tiles = [(f"{name}\n{', '.join(distortion.channels)}", crop)]
    for intensity in intensities:
        strength = severity.strength(name, intensity)
        capped = f" (reaches {severity.cap(name):.2g})" if intensity > severity.cap(name) + 0.005 else ""
        picture = render(crop, name, intensity, np.random.default_rng(seed))
        tiles.append((f"intensity {intensity:g}{capped}\n{strength:.3g} {distortion.unit}", picture))
    spatial = intensity_map((crop.shape[0], crop.shape[1]), np.random.default_rng(seed), "perlin",
                            min(max(intensities), severity.cap(name)))  # fmt: skip
    tiles.append(("varying intensity\n", render(crop, name, spatial, np.random.default_rng(seed))))
    tiles.append(("its map\nblack 0, white 1", np.repeat(spatial[:, :, None], 3, axis=2)))
    return tiles


def contact_sheet(
    photo: np.ndarray,
    types: Sequence[str] | None = None,
    intensities: Sequence[float] = (0.1, 0.3, 0.6, 1.0),
    tile: int = 192,
    seed: int = 0,
) -> np.ndarray:
    """Every type at rising intensity, then under a Perlin map, then that map; one row a type.

    Args:
        photo: (H, W, 3) float32, sRGB-encoded, in [0, 1]; its centre is shown at 1:1.
        types: names of the types; None shows all.
        intensities: one column each, in [0, 1].
        tile: side of a tile in pixels (less where the photo is smaller).
        seed: seed of the random variants and maps.

    Returns:
        (height, width, 3) float32 in [0, 1] with captions: type and channels, then intensity and strength.

    Raises:
        UserError: unknown type.
        ValueError: no types, no intensities, or intensities outside [0, 1].
    """
    names = [severity.find(name).name for name in (DISTORTIONS if types is None else types)]
    if not names or not intensities:
        raise ValueError("types and intensities must name at least one each")
    crop = _centre(photo, tile)
    rows = [_row(crop, name, intensities, seed + index) for index, name in enumerate(names)]
    height, width = crop.shape[:2]
    step_y, step_x = height + _CAPTION + _GAP, width + _GAP
    sheet = np.full((step_y * len(rows), step_x * len(rows[0]) - _GAP, 3), _PAPER, dtype=np.float32)
    for row, tiles in enumerate(rows):
        for column, (_, picture) in enumerate(tiles):
            top, left = row * step_y + _CAPTION, column * step_x
            sheet[top : top + height, left : left + width] = picture
    return _write_captions(sheet, rows, step_y, step_x, width)


def _write_captions(
    sheet: np.ndarray, rows: list[list[tuple[str, np.ndarray]]], step_y: int, step_x: int, width: int
) -> np.ndarray:
    # Captions are drawn on their strips alone, so that tiles keep their float values.
    font = ImageFont.load_default(_FONT_SIZE)
    for row, tiles in enumerate(rows):
        strip = Image.new("RGB", (sheet.shape[1], _CAPTION), (round(_PAPER * 255),) * 3)
        draw = ImageDraw.Draw(strip)
        for column, (caption, _) in enumerate(tiles):
            for index, text in enumerate(caption.split("\n")):
                while len(text) > 1 and draw.textlength(text, font) > width:
                    text = text[:-1]
                draw.text((column * step_x + 1, 1 + index * _LINE), text, fill=(235, 235, 235), font=font)
        top = row * step_y
        sheet[top : top + _CAPTION] = np.asarray(strip, dtype=np.float32) / 255.0
    return sheet
