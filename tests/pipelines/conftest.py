"""Small pictures for the tests of the pipelines."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


def make_picture(height: int, width: int) -> Tensor:
    """(1, 3, H, W) float64 in about [0.1, 0.9]: a gradient, a soft texture, an edge and a coloured disc."""
    y, x = torch.meshgrid(
        torch.linspace(0, 1, height, dtype=torch.float64),
        torch.linspace(0, 1, width, dtype=torch.float64),
        indexing="ij",
    )
    base = 0.35 + 0.25 * x + 0.05 * torch.sin(25 * x + 9 * y) + 0.2 * (x + y > 1.1)
    disc = ((x - 0.3).square() + (y - 0.6).square() < 0.05).double()
    return torch.stack([base + 0.15 * disc, base - 0.2 * disc, base - 0.1 * y], dim=0).unsqueeze(0).clamp(0.1, 0.9)


@pytest.fixture
def picture() -> Tensor:
    """(1, 3, 33, 46) float64, clean: odd height, not square."""
    return make_picture(33, 46)


@pytest.fixture
def noisy() -> Tensor:
    """``picture`` with white noise of deviation 0.05."""
    generator = torch.Generator().manual_seed(1)
    clean = make_picture(33, 46)
    return (clean + 0.05 * torch.randn(clean.shape, dtype=clean.dtype, generator=generator)).clamp(0, 1)
