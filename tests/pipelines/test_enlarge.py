"""Bilinear enlargement against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from pipelines.enlarge import enlarge


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    factor=st.integers(1, 5),
    rest=st.integers(0, 2),
    seed=st.integers(0, 999),
)
def test_values_and_gradients_are_those_of_interpolate(
    rows: int, columns: int, factor: int, rest: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, rows, columns, generator=generator, dtype=torch.float64, requires_grad=True)
    size = (factor * rows, factor * columns + rest)
    ours, theirs = enlarge(image, size), interpolate(image, size, mode="bilinear")
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    weight = torch.rand(ours.shape, generator=generator, dtype=torch.float64)
    (one,), (other,) = (torch.autograd.grad((x * weight).sum(), image) for x in (ours, theirs))
    torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize("factor", [2, 4])
def test_gradients_against_finite_differences(factor: int) -> None:
    image = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: enlarge(x, (3 * factor, 4 * factor)), image)
