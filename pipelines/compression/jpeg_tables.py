"""JPEG with quantisation tables that can be learned by gradient, and the file that a real encoder makes with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipelines.compression.base import coded
from pipelines.compression.jpeg_rate import estimated_bits
from pipelines.compression.soft_jpeg import soft_jpeg
from pipelines.compression.tables import CHROMA, LUMA, whole_numbers
from pipelines.contract import Output, Pipeline
from pipelines.parameters import Parameter, Parameters

_KNOTS = (0.0, 1.0, 3.0, 5.0, 8.0, 14.0)
"""Diagonal frequencies u + v at which a table's factors are given; linear in the logarithm between them."""
_BANDS = ("dc", "lowest", "low", "mid", "high", "highest")


def _factor(what: str) -> Parameter:
    return Parameter(0.3, 4.0, 1.0, unit="of the standard's", log=True, doc=f"Factor on the {what}; larger is coarser.")


class JpegTables(Pipeline):
    """JPEG 4:2:0 with the standard's tables times factors over frequency, for luma and chroma.

    With gradients enabled the picture is that of :func:`pipelines.compression.soft_jpeg.soft_jpeg` with unrounded
    tables; without, it is what libjpeg makes of whole-numbered ones. Measures: those of the codecs, of the real file
    either way, and ``bits_per_pixel_estimate``, with a gradient
    (:func:`pipelines.compression.jpeg_rate.estimated_bits`).
    """

    name = "compression.jpeg_tables"
    differentiable = True
    parameters: ClassVar[Parameters] = {
        "quality": Parameter(10.0, 95.0, 75.0, unit="libjpeg's scale", doc="Scales the standard's tables first."),
        **{
            f"{plane}_{band}": _factor(f"{plane} steps at u + v = {knot:g}")
            for plane in ("luma", "chroma")
            for band, knot in zip(_BANDS, _KNOTS, strict=True)
        },
        "luma_tilt": Parameter(
            0.5,
            2.0,
            1.0,
            unit="factor",
            log=True,
            doc="Vertical against horizontal steps at the highest frequency.",
        ),
    }

    def process(self, image: Tensor, quality: Tensor, luma_tilt: Tensor, **bands: Tensor) -> Output:
        """(N, 3, H, W) to the same."""
        luma, chroma = self.tables(quality, luma_tilt, bands)
        real = coded(image, "JPEG", save_options(luma, chroma))
        bits = estimated_bits(image, luma, chroma)
        measures = {**real.measures, "bits_per_pixel_estimate": bits}
        if not torch.is_grad_enabled():
            return Output(real.image, measures)
        return Output(soft_jpeg(image, luma, chroma), measures)

    def tables(self, quality: Tensor, luma_tilt: Tensor, bands: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Luma and chroma table, (8, 8), unrounded, within 1 to 255; rows are vertical frequencies."""
        scale = torch.where(quality < 50, 50.0 / quality, 2.0 - quality / 50.0).clamp(min=0.02)
        made = []
        for plane, standard in (("luma", LUMA), ("chroma", CHROMA)):
            at_knots = torch.stack([bands[f"{plane}_{band}"].log() for band in _BANDS])
            factors = torch.exp(_interpolation().to(at_knots) @ at_knots).view(8, 8)
            made.append(scale * factors * quality.new_tensor(standard).view(8, 8))
        vertical = torch.arange(8).to(quality).view(8, 1)
        tilt = torch.exp(luma_tilt.log() * (vertical - vertical.T) / 7.0)
        return (made[0] * tilt).clamp(1.0, 255.0), made[1].clamp(1.0, 255.0)

    def write(self, path: Path, image: Tensor, parameters: Mapping[str, Any]) -> None:
        """Write (1, 3, H, W) as a baseline JPEG file with the parameters' tables."""
        values = {key: torch.as_tensor(float(value)) for key, value in self.resolve(parameters).items()}
        luma, chroma = self.tables(values.pop("quality"), values.pop("luma_tilt"), values)
        levels = (image[0].permute(1, 2, 0).clamp(0, 1) * 255.0).round().to(torch.uint8).cpu().numpy()
        Image.fromarray(levels).save(path, format="JPEG", **save_options(luma, chroma))


def save_options(luma: Tensor, chroma: Tensor) -> dict[str, Any]:
    """Pillow's options for a file with these tables, rounded; 4:2:0, optimised Huffman codes."""
    tables = [whole_numbers(table.detach().cpu().numpy()) for table in (luma, chroma)]
    return {"qtables": tables, "subsampling": "4:2:0", "optimize": True}


def _interpolation() -> Tensor:
    """(64, 6): weights of the knots at every frequency of a block."""
    diagonal = np.add.outer(np.arange(8.0), np.arange(8.0)).reshape(-1)
    columns = [np.interp(diagonal, _KNOTS, row) for row in np.eye(len(_KNOTS))]
    return torch.from_numpy(np.stack(columns, axis=1)).float()
