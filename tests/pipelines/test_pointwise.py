"""Operations with gradients of their own, pixel by pixel, against PyTorch's and against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from pipelines.isp.exposure import Exposure
from pipelines.isp.raw_denoise import RawDenoise
from pipelines.isp.saturation import Saturation
from pipelines.isp.stage import Shot
from pipelines.isp.tone_curve import ToneCurve, srgb_encode
from pipelines.pointwise import blended, clamped, scaled

SHOT = Shot("RGGB", torch.ones(3), torch.eye(3), 1e-3, 1e-5)


def tones(*shape: int, seed: int = 0) -> Tensor:
    """Float64 in [-0.25, 1.25], a leaf."""
    values = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (1.5 * values - 0.25).requires_grad_()


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def encode(linear: Tensor) -> Tensor:
    """IEC 61966-2-1 in PyTorch's own operations."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def tone(image: Tensor, gamma: Tensor, contrast: Tensor, pivot: Tensor) -> Tensor:
    powered = encode(image) * encode(image).clamp(min=1e-4) ** (gamma - 1.0)
    inside = powered.clamp(0.0, 1.0)
    return powered + contrast * inside * (1.0 - inside) * (inside - pivot) / torch.maximum(pivot, 1.0 - pivot)


def exposed(image: Tensor, gain: Tensor, shoulder: Tensor) -> Tensor:
    bright = image * 2.0**gain
    bent = torch.where(bright > 0.6, 0.6 - 0.4 * torch.expm1(-(bright - 0.6).clamp(min=0.0) / 0.4), bright)
    return torch.lerp(bright, bent, shoulder)


def saturated(image: Tensor, amount: Tensor, vibrance: Tensor, hue: Tensor) -> Tensor:
    y = (image * torch.tensor([0.299, 0.587, 0.114]).to(image).view(1, 3, 1, 1)).sum(1, keepdim=True)
    blue, red = (image[:, 2:] - y) / 1.772, (image[:, :1] - y) / 1.402
    factor = amount * (1.0 + vibrance * torch.exp(-8.0 * (blue.square() + red.square())))
    cos, sin = torch.cos(torch.deg2rad(hue)), torch.sin(torch.deg2rad(hue))
    blue, red = factor * (cos * blue - sin * red), factor * (sin * blue + cos * red)
    blue, red = y + 1.772 * blue, y + 1.402 * red
    return torch.cat([red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue], dim=1)


def sigma_filtered(image: Tensor, strength: Tensor, threshold: Tensor) -> Tensor:
    planes = pixel_unshuffle(image, 2)
    scale = 1.0 / (2.0 * threshold**2 * (1e-3 * planes.clamp(min=0.0) + 1e-5))
    wide = pad(planes, (1, 1, 1, 1), mode="reflect").unfold(2, 3, 1).unfold(3, 3, 1)
    weight = torch.exp(-(wide - planes[..., None, None]).square() * scale[..., None, None])
    smooth = (weight * wide).sum((-1, -2)) / weight.sum((-1, -2))
    return pixel_shuffle(torch.lerp(planes, smooth, strength), 2)


def narrow(image: Tensor) -> Tensor:
    """A few deviations of the noise about half of white, so that some neighbours count and some do not."""
    return 0.5 + 0.1 * image


CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "clamped": (lambda x: clamped(x, 0.0, 1.0), lambda x: x.clamp(0.0, 1.0), (tones(2, 3, 5, 4),)),
    "clamped below": (lambda x: clamped(x, low=0.2), lambda x: x.clamp(min=0.2), (tones(7),)),
    "clamped above": (lambda x: clamped(x, high=0.9), lambda x: x.clamp(max=0.9), (tones(2, 9),)),
    "scaled": (scaled, torch.mul, (tones(2, 1, 4, 6), number(-0.7))),
    "blended": (blended, torch.lerp, (tones(2, 2, 4, 5), tones(2, 2, 4, 5, seed=1), number(0.3))),
    "srgb_encode": (srgb_encode, encode, (tones(2, 3, 8, 9),)),
    "tone": (
        lambda x, *values: ToneCurve().apply(x, SHOT, *values),
        tone,
        (tones(2, 3, 8, 7), number(1.4), number(-0.6), number(0.3)),
    ),
    "exposure": (
        lambda x, *values: Exposure().apply(x, SHOT, *values),
        exposed,
        (tones(2, 3, 8, 7), number(0.6), number(0.7)),
    ),
    "saturation": (
        lambda x, *values: Saturation().apply(x, SHOT, *values),
        saturated,
        (tones(2, 3, 6, 7), number(1.3), number(0.5), number(12.0)),
    ),
    "raw_denoise": (
        lambda x, *values: RawDenoise().apply(narrow(x), SHOT, *values),
        lambda x, *values: sigma_filtered(narrow(x), *values),
        (tones(2, 1, 8, 6), number(0.8), number(1.4)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_plain_formula(name: str) -> None:
    ours, formula, inputs = CASES[name]
    result, expected = ours(*inputs), formula(*inputs)
    torch.testing.assert_close(result, expected)
    weight = tones(*expected.shape, seed=5).detach()
    wanted = torch.autograd.grad(expected, inputs, weight)
    for gradient, right in zip(torch.autograd.grad(result, inputs, weight), wanted, strict=True):
        torch.testing.assert_close(gradient, right)
    assert torch.autograd.gradcheck(ours, inputs)


@pytest.mark.parametrize("name", CASES)
def test_only_the_picture_or_only_the_numbers_may_have_a_gradient(name: str) -> None:
    ours, _, inputs = CASES[name]
    for asked in range(len(inputs)):
        leaves = [x.detach().clone().requires_grad_(index == asked) for index, x in enumerate(inputs)]
        (gradient,) = torch.autograd.grad(ours(*leaves).sum(), leaves[asked])
        assert gradient.shape == leaves[asked].shape and bool(torch.isfinite(gradient).all())


def test_gradients_of_the_tone_curve_are_finite_at_black_and_below() -> None:
    image = torch.tensor([-1.0, -1e-4, 0.0, 1e-8, 0.0031308, 1.0, 3.0]).expand(1, 3, 1, 7).clone().requires_grad_()
    gamma, contrast, pivot = (torch.tensor(x, requires_grad=True) for x in (0.5, 0.5, 0.5))
    ToneCurve().apply(image, SHOT, gamma, contrast, pivot).sum().backward()
    for leaf in (image, gamma, contrast, pivot):
        assert leaf.grad is not None and bool(torch.isfinite(leaf.grad).all())
