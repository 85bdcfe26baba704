"""Filters with gradients of their own, against PyTorch's, SciPy's and Kornia's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kornia.filters import gaussian_blur2d, guided_blur
from scipy.ndimage import maximum_filter, minimum_filter
from torch.nn.functional import conv2d, pad

from pipelines.correlation import box_mean, correlate, mirrored
from pipelines.filters import gaussian_blur
from pipelines.guided_filter import guided_filter
from pipelines.neighbours import extremes


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1, 5), (4, 1), (3, 3), (2, 5)])
def test_correlation_and_its_gradients_are_those_of_a_convolution(shape: tuple[int, int]) -> None:
    image, kernel = noise(2, 3, 9, 11).requires_grad_(), noise(*shape, seed=1).requires_grad_()
    with torch.no_grad():
        kernel.view(-1)[-1] = 0.0  # taps of 0 are left out forwards, but have a gradient
    expected = conv2d(image.flatten(0, 1).unsqueeze(1), kernel[None, None]).unflatten(0, (2, 3)).squeeze(2)
    weight = noise(*expected.shape, seed=2)
    ours = correlate(image, kernel)
    torch.testing.assert_close(ours, expected)
    wanted = torch.autograd.grad((expected * weight).sum(), (image, kernel))
    for ours_gradient, gradient in zip(
        torch.autograd.grad((ours * weight).sum(), (image, kernel)), wanted, strict=True
    ):
        torch.testing.assert_close(ours_gradient, gradient)


@pytest.mark.parametrize(("window", "subsample", "size"), [(5, 1, (20, 17)), (9, 2, (24, 26)), (17, 4, (41, 38))])
def test_guided_filter_is_kornias(window: int, subsample: int, size: tuple[int, int]) -> None:
    guide, colors = noise(2, 1, *size), noise(2, 3, *size, seed=1)
    eps = torch.tensor([0.01, 0.2], dtype=torch.float64)
    for picture in (guide, colors):
        expected = guided_blur(guide, picture, window, eps, subsample=subsample)
        torch.testing.assert_close(guided_filter(guide, picture, window, eps, subsample), expected)


def test_guided_filter_has_gradients() -> None:
    guide, colors = noise(1, 1, 8, 10).requires_grad_(), noise(1, 2, 8, 10, seed=1).requires_grad_()
    eps = torch.tensor([0.05], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda g, c, e: guided_filter(g, c, 5, e, 2), (guide, colors, eps))
    assert torch.autograd.gradcheck(lambda g, e: guided_filter(g, g, 3, e), (guide, eps))


def test_gaussian_blur_is_kornias_and_differentiable_in_sigma() -> None:
    image, sigma = noise(1, 2, 15, 13).requires_grad_(), torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    expected = gaussian_blur2d(image, 13, sigma.expand(1, 2), border_type="reflect")
    torch.testing.assert_close(gaussian_blur(image, sigma, 2.0), expected)
    assert torch.autograd.gradcheck(lambda x, s: gaussian_blur(x, s, 2.0), (image, sigma))


def test_box_mean_keeps_what_is_even() -> None:
    torch.testing.assert_close(box_mean(torch.full((1, 2, 9, 9), 0.3), 5), torch.full((1, 2, 9, 9), 0.3))


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("step", [1, 2])
def test_extremes_are_scipys_rank_filters(step: int, centre: bool) -> None:
    image = noise(2, 2, 12, 9)
    side = 2 * step + 1
    footprint = np.zeros((side, side), dtype=bool)
    footprint[::step, ::step] = True
    footprint[step, step] = centre
    filters = (minimum_filter, maximum_filter)
    for ours, filtered in zip(extremes(image, step, centre), filters, strict=True):
        expected = filtered(image.numpy(), footprint=footprint[None, None], mode="mirror")
        np.testing.assert_array_equal(ours.numpy(), expected)
    assert torch.autograd.gradcheck(lambda x: extremes(x, step, centre), image.clone().requires_grad_())


@pytest.mark.parametrize("centre", [True, False])
def test_the_gradient_of_an_extreme_is_not_shared_out_twice_among_equal_neighbours(centre: bool) -> None:
    for which in (0, 1):
        image = torch.full((1, 1, 6, 6), 0.5, dtype=torch.float64, requires_grad=True)
        extremes(image, centre=centre)[which].sum().backward()
        assert image.grad is not None and image.grad.sum().item() == pytest.approx(36.0)
        assert torch.equal(image.grad, image.grad.round())  # whole: each to one pixel


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (2, 0), (4, 6)])
def test_mirrored_borders_and_their_gradient_are_those_of_padding(rows: int, columns: int) -> None:
    image, weight = noise(2, 3, 5, 7).requires_grad_(), noise(2, 3, 5 + 2 * rows, 7 + 2 * columns, seed=1)
    ours, expected = mirrored(image, rows, columns), pad(image, (columns, columns, rows, rows), mode="reflect")
    assert torch.equal(ours, expected)
    wanted = torch.autograd.grad((expected * weight).sum(), image)
    torch.testing.assert_close(torch.autograd.grad((ours * weight).sum(), image), wanted)
