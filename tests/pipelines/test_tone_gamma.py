"""The gamma curve: its formula, its inverse, and gradient descent back to a known gamma."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipelines import load


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(0.3, 3.0))
def test_it_undoes_a_known_gamma(gamma: float) -> None:
    clean = torch.linspace(0, 1, 16 * 17 * 3, dtype=torch.float64).view(1, 3, 16, 17)
    output = load("tone.gamma")(clean ** (1 / gamma), {"gamma": gamma})
    assert torch.allclose(output, clean, atol=1e-9)


def test_the_default_changes_nothing_and_black_and_white_stay(picture: Tensor) -> None:
    assert torch.allclose(load("tone.gamma")(picture), picture)
    ends = torch.tensor([0.0, 1.0]).repeat(1, 3, 16, 8)
    for gamma in (0.3, 3.0):
        assert torch.equal(load("tone.gamma")(ends, {"gamma": gamma}), ends)


def test_gradient_descent_finds_the_known_optimum(picture: Tensor) -> None:
    pipeline = load("tone.gamma")
    given_image = picture ** (1 / 1.8)
    log_gamma = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_gamma], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (pipeline(given_image, {"gamma": log_gamma.exp()}) - picture).square().mean().backward()
        optimizer.step()
    assert float(log_gamma.detach().exp()) == pytest.approx(1.8, rel=0.01)
