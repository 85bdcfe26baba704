"""Real encoders at falling quality: JPEG, JPEG 2000, WebP and AVIF."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image as PillowImage

from .common import Image, nothing_to_do

# ITU-T T.81, Annex K, tables K.1 and K.2: what every encoder scales (IJG quality 50 is scale 1), row by row.
LUMA_TABLE = np.array([
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
])  # fmt: skip
CHROMA_TABLE = np.array([
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *[99] * 32,
])  # fmt: skip

_FLAT = 24
"""Every entry of a flat table at scale 1; loses about as much as the Annex K tables do."""

_JPEG2000_HEADER_BYTES = 240
"""About what OpenJPEG spends on headers whatever the size: with it, ratios up to 100 lose the same at 128 to 512 px."""


def jpeg(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Baseline JPEG with the Annex K tables times ``strength`` (1: quality 50, 5: quality 10), 4:2:0 or 4:4:4.

    One time in six the tables are flat, as some cameras and encoders have them. Half of the time the block grid
    starts somewhere else than in the corner, as in crops of JPEGs.
    Imitates in-camera and web JPEG. Source: ITU-T T.81; table scaling as in the IJG library.
    """
    subsampling = "4:2:0" if rng.random() < 0.6 else "4:4:4"
    top, left = (int(v) for v in rng.integers(0, 8, 2)) if rng.random() < 0.5 else (0, 0)
    flat = rng.random() < 1 / 6
    if nothing_to_do(strength):
        return image.copy()
    bases = [np.full(64, _FLAT)] * 2 if flat else [LUMA_TABLE, CHROMA_TABLE]
    tables = [_scaled(base, strength) for base in bases]
    padded = cv2.copyMakeBorder(image, top, 0, left, 0, cv2.BORDER_REFLECT_101)
    decoded = _round_trip(padded, "JPEG", qtables=tables, subsampling=subsampling)
    return np.ascontiguousarray(decoded[top:, left:])


def jpeg2000(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Irreversible JPEG 2000 at compression ratio ``strength`` (24 bit per pixel divided by it).

    Imitates wavelet coders: quantised wavelet coefficients oscillate beside edges and blur texture.
    Source: ISO/IEC 15444-1, by OpenJPEG; TID2013 type 11.
    """
    if nothing_to_do(strength):
        return image.copy()
    # The headers count as well: without them in the budget, small pictures would suffer more than large ones.
    budget = image.size / max(strength, 1.0) + _JPEG2000_HEADER_BYTES
    # A decomposition must not shrink the picture below one sample.
    resolutions = min(6, int(np.log2(min(image.shape[:2]))) + 1)
    return _round_trip(image, "JPEG2000", quality_mode="rates", quality_layers=[max(image.size / budget, 1.0)],
                       irreversible=True, num_resolutions=resolutions)  # fmt: skip


def webp_avif(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """WebP (two thirds) or AVIF at quality 100 - ``strength``.

    Imitates modern intra-frame coders: prediction and in-loop filters hide the blocks and smear fine texture.
    Source: VP8 data format, RFC 6386; AV1 Image File Format 1.1, both by their reference libraries.
    """
    use_webp = rng.random() < 2 / 3
    if nothing_to_do(strength):
        return image.copy()
    quality = float(np.clip(100.0 - strength, 0.0, 100.0))
    if use_webp:
        return _round_trip(image, "WEBP", quality=quality, method=2)
    return _round_trip(image, "AVIF", quality=round(quality), speed=10, max_threads=1)


def _scaled(table: np.ndarray, scale: float) -> list[int]:
    """A quantisation table times ``scale``, in the 1..255 that baseline JPEG can store."""
    return [int(v) for v in np.clip(np.round(table * scale), 1, 255)]


def _round_trip(image: Image, encoder: str, **options: object) -> Image:
    """Encode to memory as 8 bit and decode again."""
    buffer = io.BytesIO()
    PillowImage.fromarray((image * 255.0 + 0.5).astype(np.uint8)).save(buffer, encoder, **options)
    buffer.seek(0)
    with PillowImage.open(buffer) as decoded:
        return np.asarray(decoded.convert("RGB"), dtype=np.float32) / np.float32(255)
