"""Which floating point type the judge's convolutions compute in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; without them it is emulated, and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def autocast(image: torch.Tensor, kind: torch.dtype) -> AbstractContextManager[Any]:
    """Convolutions of what comes from ``image`` in ``kind``; nothing changes where that is the image's own type."""
    return torch.autocast(image.device.type, kind) if kind != image.dtype else nullcontext()
