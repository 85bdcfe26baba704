"""The colours of a signed distortion map, shared by the report, ``tuner compare`` and the run's map sheets.

A signed excess is ``2 F - 1`` in [-1, 1] for a distortion map ``F`` in [0, 1]: positive where the test picture has
more of the distortion (warm colours), negative where the reference has more (cool colours), 0 where they are alike
(fully transparent). Amber-red against sky-blue stays apart for the common kinds of colour blindness.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

FULL_AT = 0.6
"""The absolute excess from which a colour is as opaque as it gets; only its hue goes on changing above."""

OPACITY = 0.88
"""The greatest opacity, so that the picture still shows through."""

_WARM = ((255, 205, 84), (243, 104, 36), (176, 12, 38))
_COOL = ((148, 222, 255), (40, 140, 245), (36, 44, 168))
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # ITU-R BT.709


def _palette() -> np.ndarray:
    """(256, 4) uint8 RGBA; entry ``128 + round(127 e)`` is the colour of the excess ``e``. Entry 0 is unused."""
    excess = (np.arange(256) - 128) / 127.0
    size = np.minimum(np.abs(excess), 1.0)
    table = np.zeros((256, 4))
    for stops, side in ((_WARM, excess > 0), (_COOL, excess < 0)):
        for channel in range(3):
            table[side, channel] = np.interp(size[side], (0.0, 0.5, 1.0), [stop[channel] for stop in stops])
    table[:, 3] = 255.0 * OPACITY * np.minimum(1.0, size / FULL_AT) ** 0.8
    return np.round(table).astype(np.uint8)


PALETTE = _palette()


def signed_excess(maps: np.ndarray) -> np.ndarray:
    """Distortion maps in [0, 1], any shape, to the signed excess ``2 F - 1`` in [-1, 1]."""
    return 2.0 * np.asarray(maps, dtype=np.float32) - 1.0


def indices(excess: np.ndarray) -> np.ndarray:
    """The palette entries, uint8 in 1..255, of a signed excess of any shape. Values outside [-1, 1] are clipped."""
    return (128 + np.round(127.0 * np.clip(excess, -1.0, 1.0))).astype(np.uint8)


def diverging(excess: np.ndarray) -> np.ndarray:
    """A signed excess (H, W) in [-1, 1] as RGBA (H, W, 4) uint8: transparent at 0, warm above, cool below."""
    return PALETTE[indices(excess)]


def overlay(picture: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """Lay the map over a grey version of the picture it belongs to.

    The picture loses its colour so that every hue that is seen comes from the map.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        excess: signed excess, (H, W) in [-1, 1].

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    grey = np.repeat((picture @ _LUMA)[..., None], 3, axis=2)
    colour = diverging(excess).astype(np.float32) / 255.0
    alpha = colour[..., 3:]
    return (grey * (1.0 - alpha) + colour[..., :3] * alpha).astype(np.float32)


def overlay_png(excess: np.ndarray) -> bytes:
    """A signed excess (H, W) as a palette PNG with alpha, to be laid over a picture in a browser."""
    image = Image.fromarray(indices(excess))
    image.putpalette(PALETTE[:, :3].tobytes())  # turns the grey picture into a palette one, indices kept
    stream = io.BytesIO()
    image.save(stream, "PNG", transparency=PALETTE[:, 3].tobytes(), optimize=True)
    return stream.getvalue()


def legend_colours(ground: Sequence[int], steps: int = 201) -> np.ndarray:
    """The legend as one row of colours from excess -1 to 1 over an RGB ``ground``: (steps, 3) uint8."""
    colour = diverging(np.linspace(-1.0, 1.0, steps)[None])[0].astype(np.float32)
    alpha = colour[:, 3:] / 255.0
    return np.round(colour[:, :3] * alpha + np.asarray(ground, dtype=np.float32) * (1.0 - alpha)).astype(np.uint8)


def legend_css(steps: int = 41) -> str:
    """The legend as a CSS ``linear-gradient`` from excess -1 (left) to 1 (right), with the overlay's own alpha."""
    colours = diverging(np.linspace(-1.0, 1.0, steps)[None])[0]
    stops = ", ".join(f"rgba({r},{g},{b},{a / 255:.3f})" for r, g, b, a in colours.tolist())
    return f"linear-gradient(90deg, {stops})"
