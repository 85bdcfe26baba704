"""Pictures and maps as data URIs, within the report's size budget."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from PIL import Image

from tuner.overlays import overlay_png
from tuner.regions import Region
from tuner.report.pictures import SIDES, PictureSet, ShownPicture

LARGEST_SIDE = 1600
"""Pictures with a longer side are shown smaller, pixels."""

LOSSLESS_BUDGET = 3_200_000
"""Bytes of all pictures together up to which they are stored without loss; beyond, as JPEG."""

JPEG_QUALITY = 95  # with 4:4:4 chroma: chroma noise is one of the things that the reader looks for


def picture_data(pictures: PictureSet) -> tuple[list[dict[str, Any]], bool]:
    """All pictures, maps and regions for the page's viewer.

    Maps are stored at half the picture's resolution, one palette PNG with alpha each.

    Returns:
        One JSON-able entry a picture, and whether the pictures are stored without loss.
    """
    small = [{role: _shrink(image) for role, image in picture.images.items()} for picture in pictures.shown]
    encoded = [{role: _webp(image) for role, image in images.items()} for images in small]
    lossless = sum(len(data) for images in encoded for data in images.values()) <= LOSSLESS_BUDGET
    if lossless:
        files = [{role: _uri(data, "webp") for role, data in images.items()} for images in encoded]
    else:
        files = [{role: _uri(_jpeg(image), "jpeg") for role, image in images.items()} for images in small]
    return [_entry(picture, images) for picture, images in zip(pictures.shown, files, strict=True)], lossless


def _entry(picture: ShownPicture, images: dict[str, str]) -> dict[str, Any]:
    height, width = picture.images["best"].shape[:2]
    return {
        "name": picture.name,
        "width": width,
        "height": height,
        "images": images,
        "maps": {side: [map_uri(values) for values in picture.excess[side]] for side in SIDES},
        "regions": {side: [_box(region) for region in picture.regions[side]] for side in SIDES},
    }


def _box(region: Region | None) -> dict[str, float] | None:
    return region.as_dict() if region else None


def map_uri(excess: np.ndarray) -> str:
    """A signed excess (H, W) in [-1, 1] as the data URI of its overlay, at half resolution or below."""
    height, width = excess.shape
    factor = max(2, -(-max(height, width) // (LARGEST_SIDE // 2)))
    values = torch.from_numpy(np.ascontiguousarray(excess, dtype=np.float32))[None, None]
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    return _uri(overlay_png(nnf.adaptive_avg_pool2d(values, size)[0, 0].numpy()), "png")


def _shrink(image: np.ndarray) -> Image.Image:
    picture = Image.fromarray(np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    return picture


def _webp(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", lossless=True, method=2)
    return stream.getvalue()


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return stream.getvalue()


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
