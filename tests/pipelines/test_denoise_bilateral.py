"""The bilateral filters against scikit-image, OpenCV, and their formula written out in numpy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage.restoration import denoise_bilateral
from torch import Tensor

from pipelines import load
from pipelines.color import to_ycbcr
from pipelines.denoise.bilateral import Bilateral
from pipelines.filters import gaussian_blur


def bilateral(values: np.ndarray, guide: np.ndarray, window: int, sigma_color: float, sigma_space: float) -> np.ndarray:
    """The formula, pixel by pixel: (H, W, C) values averaged by Euclidean distances in an (H, W, D) guide."""
    reach = window // 2
    height, width = values.shape[:2]
    pads = ((reach, reach), (reach, reach), (0, 0))
    padded, padded_guide = np.pad(values, pads, mode="reflect"), np.pad(guide, pads, mode="reflect")
    offsets = np.arange(-reach, reach + 1)
    space = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * sigma_space**2))
    output = np.empty_like(values)
    for y in range(height):
        for x in range(width):
            area = np.s_[y : y + window, x : x + window]
            distance = ((padded_guide[area] - guide[y, x]) ** 2).sum(-1)
            weight = space * np.exp(-distance / (2 * sigma_color**2))
            output[y, x] = (padded[area] * weight[..., None]).sum((0, 1)) / weight.sum()
    return output


def planes_of(image: Tensor) -> np.ndarray:
    return to_ycbcr(image)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("window", "sigma_space"), [(3, 0.5), (5, 1.5), (9, 6.0)])
def test_bilateral_is_its_formula_on_luma_and_chroma(noisy: Tensor, window: int, sigma_space: float) -> None:
    values = {"sigma_color": 0.08, "chroma_sigma_color": 0.2, "sigma_space": sigma_space, "window": window}
    ours = planes_of(load("denoise.bilateral")(noisy, values))
    planes = planes_of(noisy)
    luma = bilateral(planes[..., :1], planes[..., :1], window, 0.08, sigma_space)
    chroma = bilateral(planes[..., 1:], planes[..., 1:], window, 0.2, sigma_space)
    assert np.allclose(ours, np.concatenate([luma, chroma], axis=-1), atol=1e-10)


def test_joint_bilateral_is_its_formula(noisy: Tensor) -> None:
    values = {"sigma_color": 0.05, "sigma_space": 2.0, "guide_sigma": 1.2, "window": 7}
    ours = load("denoise.joint_bilateral")(noisy, values)[0].permute(1, 2, 0).numpy()
    guide = gaussian_blur(noisy, torch.tensor(1.2, dtype=torch.float64), 3.0)
    arrays = [tensor[0].permute(1, 2, 0).numpy() for tensor in (noisy, guide)]
    assert np.allclose(ours, bilateral(*arrays, 7, 0.05, 2.0), atol=1e-10)


def test_bilateral_agrees_with_scikit_image_on_grey(noisy: Tensor) -> None:
    grey = noisy.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    # scikit-image 0.26 shifts its table of spatial weights for odd windows (arange(-7 // 2, 4) starts at -4), so the
    # filters are compared where those weights are all alike, beyond the bounds that a caller may use.
    sigma_color, flat = torch.tensor([0.1, 1e6], dtype=torch.float64)
    ours = Bilateral().denoise(grey, sigma_color, sigma_color, flat, 7)[0, 0].numpy()
    theirs = denoise_bilateral(
        grey[0, 0].numpy(), win_size=7, sigma_color=0.1, sigma_spatial=1e6, bins=100_000, mode="reflect"
    )
    inside = np.s_[3:-3, 3:-3]  # the libraries mirror differently
    assert np.abs(ours - theirs)[inside].max() < 1e-4


def test_bilateral_agrees_with_opencv_on_grey(noisy: Tensor) -> None:
    grey = noisy.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1).float()
    values = {"sigma_color": 0.1, "sigma_space": 1.0, "window": 9}
    ours = load("denoise.bilateral")(grey, values)[0, 0].numpy()
    theirs = cv2.bilateralFilter(grey[0, 0].numpy(), 9, 0.1, 1.0, borderType=cv2.BORDER_REFLECT_101)
    # OpenCV's window is round: at sigma 1 what its corners leave out weighs next to nothing.
    assert np.abs(ours - theirs).max() < 2e-3


def test_bilateral_keeps_a_strong_edge_and_flattens_a_weak_one() -> None:
    image = torch.full((1, 3, 16, 32), 0.2)
    image[..., 8:16], image[..., 16:] = 0.23, 0.8
    columns = load("denoise.bilateral")(image, {"sigma_space": 3.0, "window": 9})[0, 0, 8]
    assert abs(float(columns[16] - columns[15]) - 0.57) < 0.01
    assert float(columns[8] - columns[7]) < 0.01


def test_chroma_strength_leaves_luma_alone(noisy: Tensor) -> None:
    weak, strong = (load("denoise.bilateral")(noisy, {"chroma_sigma_color": s}) for s in (0.01, 0.4))
    assert torch.allclose(to_ycbcr(weak)[:, 0], to_ycbcr(strong)[:, 0], atol=1e-12)
    assert float(to_ycbcr(strong)[:, 1:].std()) < float(to_ycbcr(weak)[:, 1:].std())


def test_bilateral_opencv_is_opencvs_on_a_batch_of_two(noisy: Tensor, picture: Tensor) -> None:
    values = {"sigma_color": 0.3, "sigma_space": 2.0, "diameter": 7}
    ours = load("denoise.bilateral_opencv")(torch.cat([picture, noisy]), values)[1]
    theirs = cv2.bilateralFilter(noisy[0].permute(1, 2, 0).float().numpy(), 7, 0.3, 2.0)
    assert np.array_equal(ours.permute(1, 2, 0).numpy().astype(np.float32), theirs)
