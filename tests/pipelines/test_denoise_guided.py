"""The guided filter against its formula with scipy's box filter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor

from pipelines import load
from pipelines.color import to_ycbcr


def guided(plane: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """He, Sun and Tang 2013, algorithm 1 with guide = input."""

    def box(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, 2 * radius + 1, mode="mirror")

    mean = box(plane)
    variance = box(plane**2) - mean**2
    slope = variance / (variance + eps)
    return box(slope) * plane + box(mean - slope * mean)


@pytest.mark.parametrize(("radius", "eps", "chroma_eps"), [(1, 1e-5, 1e-2), (2, 0.004, 0.004), (8, 0.1, 1e-4)])
def test_guided_is_its_formula_on_each_plane(noisy: Tensor, radius: int, eps: float, chroma_eps: float) -> None:
    batch = torch.cat([noisy, noisy.flip(-1)])
    output = load("denoise.guided")(batch, {"radius": radius, "eps": eps, "chroma_eps": chroma_eps})
    ours, planes = to_ycbcr(output).numpy(), to_ycbcr(batch).numpy()
    for picture in range(2):
        for plane, strength in enumerate((eps, chroma_eps, chroma_eps)):
            expected = guided(planes[picture, plane], radius, strength)
            assert np.allclose(ours[picture, plane], expected, atol=1e-10)
