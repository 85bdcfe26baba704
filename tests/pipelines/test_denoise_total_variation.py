"""Total variation: the unrolled solver against scikit-image's, and against what the minimum must satisfy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from pipelines import load
from pipelines.color import to_ycbcr
from pipelines.denoise.total_variation import rof


def energy(u: np.ndarray, f: np.ndarray, weight: float) -> float:
    right, down = np.zeros_like(u), np.zeros_like(u)
    right[:, :-1], down[:-1] = np.diff(u, axis=1), np.diff(u, axis=0)
    return float(np.hypot(right, down).sum() + ((u - f) ** 2).sum() / (2 * weight))


@pytest.mark.parametrize("weight", [0.01, 0.05, 0.3])
def test_the_solver_converges_to_scikit_images_minimum(noisy: Tensor, weight: float) -> None:
    plane = noisy[:, :1]
    ours = rof(plane, torch.tensor(weight, dtype=torch.float64), 400)[0, 0].numpy()
    theirs = denoise_tv_chambolle(plane[0, 0].numpy(), weight=weight, eps=1e-12, max_num_iter=20_000)
    assert np.abs(ours - theirs).max() < 2e-3
    assert energy(ours, plane[0, 0].numpy(), weight) <= energy(theirs, plane[0, 0].numpy(), weight) * (1 + 1e-3)


def test_the_default_number_of_steps_is_near_the_minimum(noisy: Tensor) -> None:
    pipeline = load("denoise.total_variation")
    few, many = pipeline(noisy), pipeline(noisy, {"iterations": 60})
    missing, change = ((a - many).square().mean().sqrt() for a in (few, noisy))
    assert float(missing) < 0.15 * float(change)


def test_luma_and_chroma_have_their_own_weight(noisy: Tensor) -> None:
    values = {"weight": 0.02, "chroma_weight": 0.1, "iterations": 20}
    ours = to_ycbcr(load("denoise.total_variation")(noisy, values))
    planes = to_ycbcr(noisy)
    for plane, weight in enumerate((0.02, 0.1, 0.1)):
        expected = rof(planes[:, plane : plane + 1], torch.tensor(weight, dtype=torch.float64), 20)
        assert torch.allclose(ours[:, plane : plane + 1], expected, atol=1e-12)


def test_the_mean_of_each_plane_is_kept(noisy: Tensor) -> None:
    inside = noisy * 0.5 + 0.25  # nothing to clamp
    output = load("denoise.total_variation")(inside, {"weight": 0.5, "iterations": 60})
    assert torch.allclose(output.mean(dim=(2, 3)), inside.mean(dim=(2, 3)), atol=1e-10)


def test_tv_chambolle_is_scikit_images(noisy: Tensor) -> None:
    ours = load("denoise.tv_chambolle")(noisy.float(), {"weight": 0.08, "max_iterations": 30})
    array = noisy.float()[0].permute(1, 2, 0).numpy()
    theirs = denoise_tv_chambolle(array, weight=0.08, max_num_iter=30, channel_axis=-1)
    assert np.allclose(ours[0].permute(1, 2, 0).numpy(), theirs, atol=1e-6)
