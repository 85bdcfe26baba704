"""What all denoisers share: an unsharp stage after the denoising."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.contract import Pipeline
from pipelines.filters import gaussian_blur
from pipelines.parameters import Parameter, Parameters

SHARPEN_SIGMA_HIGH = 3.0

SHARPEN: Parameters = {
    "sharpen_amount": Parameter(
        0.0,
        2.0,
        0.0,
        doc="Strength of the unsharp mask after denoising; 0 is off, 1 doubles the fine detail.",
    ),
    "sharpen_sigma": Parameter(
        0.5,
        SHARPEN_SIGMA_HIGH,
        1.0,
        unit="px",
        doc="Scale of the detail that is amplified; no effect at amount 0.",
    ),
}


class Denoiser(Pipeline):
    """A pipeline that writes ``denoise`` and declares ``parameters = {..., **SHARPEN}``."""

    def process(
        self, image: Tensor, sharpen_amount: Tensor | float, sharpen_sigma: Tensor | float, **values: Any
    ) -> Tensor:
        """Denoise, then sharpen."""
        return unsharp(self.denoise(image, **values), sharpen_amount, sharpen_sigma)

    @abstractmethod
    def denoise(self, image: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(N, 3, H, W) to the same; a subclass names its own parameters as keyword arguments."""


class ArrayDenoiser(Denoiser):
    """A denoiser from a library that takes one (H, W, 3) float32 array at a time; not differentiable."""

    differentiable = False

    def denoise(self, image: Tensor, **values: Any) -> Tensor:
        """Hand each picture of the batch to ``denoise_array``; back in the input's dtype and device."""
        arrays = image.detach().to("cpu", torch.float32).permute(0, 2, 3, 1).contiguous().numpy()
        outputs = np.stack([self.denoise_array(array, **values) for array in arrays])
        return torch.from_numpy(outputs).permute(0, 3, 1, 2).contiguous().to(image.device, image.dtype)

    @abstractmethod
    def denoise_array(self, array: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        """(H, W, 3) sRGB float32 in [0, 1] to the same."""


def unsharp(image: Tensor, amount: Tensor | float, sigma: Tensor | float) -> Tensor:
    """Unsharp mask ``x + amount * (x - gaussian(x, sigma))``, (N, 3, H, W); ``sigma`` in px, at most 3."""
    amount = torch.as_tensor(amount, dtype=image.dtype, device=image.device)
    sigma = torch.as_tensor(sigma, dtype=image.dtype, device=image.device)
    if not amount.requires_grad and float(amount) == 0.0:
        return image
    return image + amount * (image - gaussian_blur(image, sigma, SHARPEN_SIGMA_HIGH))
