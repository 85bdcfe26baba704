"""What the encoder does between its convolutions, and its first one: compiled as by tensors, and so the gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models.networks import energy, stem
from pixelperfect_models.networks.compiled import Passes, at_most

Function = Callable[..., Sequence[torch.Tensor]]

halves = st.tuples(st.integers(1, 2), st.integers(1, 20), st.integers(1, 20), st.integers(0, 10**6))


def assert_as_by_tensors(function: Function, inputs: Sequence[torch.Tensor], share: float = 1e-6) -> None:
    """Answers and gradients of float32 within ``share`` of the largest of float64, which goes by tensors."""
    found: list[list[torch.Tensor]] = []
    for kind in (torch.float32, torch.float64):
        asking = [x.to(kind).requires_grad_(True) for x in inputs]
        answers = [*function(*asking)]
        generator = torch.Generator().manual_seed(1)
        upstream = [torch.randn(x.shape, generator=generator).to(kind) for x in answers]
        gradients = torch.autograd.grad(answers, asking, upstream)
        found.append([*(x.detach() for x in answers), *gradients])
        names = [answer.grad_fn.name() for answer in answers if answer.grad_fn is not None]
        assert any(name.startswith("_") for name in names) == (kind == torch.float32)
    for fast, exact in zip(*found, strict=True):
        assert fast.shape == exact.shape
        assert (fast - exact).abs().max() <= share * max(1.0, float(exact.abs().max()))


@settings(deadline=None, max_examples=15)
@given(size=halves, width=st.integers(1, 9))
def test_filters_of_the_picture(size: tuple[int, int, int, int], width: int) -> None:
    count, height, breadth, seed = size
    torch.manual_seed(seed)
    narrow = stem.filters(width).requires_grad_(False)
    wide = stem.filters(width).double().requires_grad_(False)
    wide.load_state_dict(narrow.state_dict())

    def filtered(image: torch.Tensor) -> list[torch.Tensor]:
        return [stem.filtered(image, narrow if image.dtype == torch.float32 else wide)]

    image = torch.rand(count, 3, 2 * height, 2 * breadth)
    assert_as_by_tensors(filtered, [image], 3e-6)
    plain = nnf.conv2d(2.0 * image - 1.0, narrow.weight, narrow.bias, stride=2, padding=2)
    torch.testing.assert_close(filtered(image)[0], plain, rtol=0, atol=3e-6)


@settings(deadline=None, max_examples=15)
@given(size=halves, channels=st.integers(1, 33))
def test_energy_and_what_is_above_zero(size: tuple[int, int, int, int], channels: int) -> None:
    count, height, width, seed = size
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, channels, 2 * height, 2 * width, generator=generator)
    assert_as_by_tensors(energy.log_energy_and_positive, [x])
    assert_as_by_tensors(lambda x: [energy.log_energy(x)], [x])
    # Features without any energy, too, have a gradient: none.
    flat = torch.zeros_like(x).requires_grad_(True)
    (gradient,) = torch.autograd.grad(energy.log_energy(flat).sum(), flat)
    assert bool((gradient == 0).all())


@settings(deadline=None, max_examples=15)
@given(size=halves, channels=st.integers(1, 33), others=st.integers(1, 17))
def test_features_and_energy_side_by_side(size: tuple[int, int, int, int], channels: int, others: int) -> None:
    count, height, width, seed = size
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(count, number, height, width, generator=generator) for number in (channels, others)]
    assert_as_by_tensors(energy.joined, parts)


@pytest.mark.parametrize("function", [energy.log_energy_and_positive, lambda x: energy.joined(x, x.float())])
def test_bfloat16_is_rounded_once(function: Function) -> None:
    x = torch.randn(1, 6, 12, 16).bfloat16().contiguous(memory_format=torch.channels_last)
    asking, exact = x.clone().requires_grad_(True), x.double().requires_grad_(True)
    answers, expected = [*function(asking)], [*function(exact)]
    upstream = [torch.randn(answer.shape).to(answer.dtype) for answer in answers]
    (found,) = torch.autograd.grad(answers, asking, upstream)
    (plain,) = torch.autograd.grad(expected, exact, [x.double() for x in upstream])
    for one, other in zip([*answers, found], [*expected, plain], strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=0.01, atol=0.01)


def test_odd_sides_and_learned_filters_go_by_tensors() -> None:
    x = torch.randn(1, 4, 7, 10)
    with at_most(Passes.NONE):
        expected = energy.log_energy(x)
    assert torch.equal(energy.log_energy(x), expected)
    filters = stem.filters(4)
    stem.filtered(torch.rand(1, 3, 8, 8), filters).sum().backward()
    assert filters.weight.grad is not None and filters.weight.grad.abs().max() > 0
