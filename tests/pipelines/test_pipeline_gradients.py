"""Every differentiable pipeline: gradients are finite everywhere and agree with finite differences."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipelines import Choice, Parameter, Pipeline, load
from pipelines.registry import BUILT_INS

# These take something else than pictures, are made from options, or have another output without gradients.
TESTED_ELSEWHERE = ("burst", "command", "compression.jpeg_tables", "isp", "network")
DIFFERENTIABLE = [name for name in sorted(BUILT_INS) if name not in TESTED_ELSEWHERE and load(name).differentiable]


def continuous(pipeline: Pipeline) -> dict[str, Parameter]:
    return {
        key: parameter
        for key, parameter in pipeline.parameters.items()
        if isinstance(parameter, Parameter) and not parameter.integer
    }


def at(parameter: Parameter, fraction: float) -> float:
    """The value at a fraction of the range, on the parameter's own scale; exact at the bounds."""
    if fraction in (0.0, 1.0):
        return parameter.high if fraction else parameter.low
    if parameter.log:
        return math.exp(math.log(parameter.low) + fraction * math.log(parameter.high / parameter.low))
    return parameter.low + fraction * (parameter.high - parameter.low)


def gradients(pipeline: Pipeline, image: Tensor, values: dict[str, float]) -> tuple[dict[str, float], Tensor]:
    """Gradients of a fixed weighted sum of the output, to each value and to the image."""
    tensors = {key: torch.tensor(value, dtype=image.dtype, requires_grad=True) for key, value in values.items()}
    image = image.clone().requires_grad_()
    loss(pipeline(image, tensors)).backward()
    assert image.grad is not None
    found = {}
    for key, tensor in tensors.items():
        assert tensor.grad is not None, f"no gradient reaches {key}"
        found[key] = float(tensor.grad)
    return found, image.grad


def loss(output: Tensor) -> Tensor:
    weights = torch.randn(output.shape, dtype=output.dtype, generator=torch.Generator().manual_seed(7))
    return (output * weights).sum()


def test_which_pipelines_are_differentiable() -> None:
    assert DIFFERENTIABLE == [
        "denoise.bilateral",
        "denoise.gaussian",
        "denoise.guided",
        "denoise.joint_bilateral",
        "denoise.total_variation",
        "denoise.wavelet",
        "tone.gamma",
    ]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_parameter_gradients_agree_with_finite_differences(name: str, noisy: Tensor, data: st.DataObject) -> None:
    pipeline = load(name)
    fractions = {key: data.draw(st.floats(0.05, 0.95), label=key) for key in continuous(pipeline)}
    values = {key: at(parameter, fractions[key]) for key, parameter in continuous(pipeline).items()}
    analytic, _ = gradients(pipeline, noisy, values)
    for key, value in values.items():
        step = 1e-8 * value  # short: the fewer pixels change sides of a kink within it
        plus, minus = (float(loss(pipeline(noisy, {**values, key: value + s}))) for s in (step, -step))
        numeric = (plus - minus) / (2 * step)
        # Scaled to the parameter: what a relative change of it does to the loss. Clamps and projections have kinks,
        # and a step over one of the few thousand pixels' kinks shows up, hence not closer than 1e-4.
        assert analytic[key] * value == pytest.approx(numeric * value, rel=1e-3, abs=1e-4), key


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_image_gradients_agree_with_finite_differences(name: str, noisy: Tensor) -> None:
    pipeline = load(name)
    values = {key: at(parameter, 0.5) for key, parameter in continuous(pipeline).items()}
    image = noisy * 0.9 + 0.05
    _, analytic = gradients(pipeline, image, values)
    direction = torch.randn(image.shape, dtype=image.dtype, generator=torch.Generator().manual_seed(3))
    step = 1e-7
    plus, minus = (float(loss(pipeline(image + s * direction, values))) for s in (step, -step))
    assert float((analytic * direction).sum()) == pytest.approx((plus - minus) / (2 * step), rel=1e-4)


HARD_PICTURES = {
    "black": torch.zeros(1, 3, 17, 16),
    "white": torch.ones(1, 3, 17, 16),
    "grey": torch.full((1, 3, 17, 16), 0.5),
    "step": (torch.arange(16) > 8).float().expand(1, 3, 17, 16).contiguous(),
    "noise": torch.rand(2, 3, 17, 16, generator=torch.Generator().manual_seed(5)),
    "nearly black": torch.full((1, 3, 17, 16), 1e-30),
}


@pytest.mark.parametrize("picture", HARD_PICTURES)
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_finite_at_the_bounds_and_for_hard_pictures(name: str, picture: str) -> None:
    pipeline = load(name)
    parameters = continuous(pipeline)
    corners = [dict.fromkeys(parameters, 0.0), dict.fromkeys(parameters, 1.0), dict.fromkeys(parameters, 0.5)]
    corners += [{**corners[low], key: 1.0 - low} for low in (0, 1) for key in parameters]
    for corner in corners:
        values = {key: at(parameters[key], fraction) for key, fraction in corner.items()}
        found, image_gradient = gradients(pipeline, HARD_PICTURES[picture], values)
        assert all(math.isfinite(gradient) for gradient in found.values()), (corner, found)
        assert torch.isfinite(image_gradient).all(), corner


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_parameter_matters(name: str, noisy: Tensor) -> None:
    pipeline = load(name)
    middle = {key: at(parameter, 0.5) for key, parameter in continuous(pipeline).items()}
    found, _ = gradients(pipeline, noisy.float(), middle)
    assert all(gradient != 0.0 for gradient in found.values()), found
    for key, parameter in pipeline.parameters.items():
        if isinstance(parameter, Choice):
            outputs = [pipeline(noisy, {**middle, key: choice}) for choice in parameter.choices]
            assert all(not torch.equal(a, b) for a, b in pairwise(outputs)), key
        elif parameter.integer:
            ends = [pipeline(noisy, {**middle, key: end}) for end in (parameter.low, parameter.high)]
            assert not torch.equal(*ends), key
