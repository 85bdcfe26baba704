"""The gradients of every ISP stage against finite differences, on pictures that its parameters matter for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import pipelines
from pipelines.isp.demosaic import Demosaic
from pipelines.isp.inverse import camera_matrix
from pipelines.isp.mosaic import Mosaic
from pipelines.isp.stage import Shot
from pipelines.isp.table import STAGES
from pipelines.parameters import Choice

SHOT = Shot("GRBG", torch.tensor([1.9, 1.0, 1.4]), camera_matrix().double(), 1e-3, 1e-5)
STEP = 1e-6
RELATIVE, ABSOLUTE = 1e-5, 1e-7
"""Of a difference quotient in float64 about 1e-8 is rounding, at these pictures and this step."""
LEAST = 1e4 * ABSOLUTE
"""A smaller gradient would say nothing: an error of its own size had to stay far above the tolerance."""


def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Uniform in [0, 1), float64."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scene(channels: int, side: int) -> Tensor:
    """(1, C, side, side) float64 in about [0.2, 0.7]: waves, an edge, noise, a colour."""
    waves = torch.sin(torch.arange(side, dtype=torch.float64) / 3.0)
    base = 0.35 + 0.1 * waves[:, None] * waves[None, :]
    base[:, side // 2 :] += 0.1
    tint = torch.tensor([0.12, 0.0, -0.1], dtype=torch.float64)[:channels].view(1, -1, 1, 1)
    return base + tint + 0.08 * noise((1, channels, side, side), 0)


def spikes(image: Tensor) -> Tensor:
    """Every eleventh pixel or so leaves its neighbours' range by about the threshold of a defect, up more than down."""
    at = (noise(tuple(image.shape), 1) < 0.09).double()
    return image + at * (noise(tuple(image.shape), 2) - 0.25) * 0.3


def highlights(image: Tensor) -> Tensor:
    """From shadows to well above white: on both sides of the shoulder's knee at any gain."""
    return (image - 0.2) * 5.0


def fine_noise(image: Tensor) -> Tensor:
    """A few deviations of the shot's own noise model, which is what raw denoising acts on."""
    return 0.4 + 0.25 * (image - 0.4)


def dim(image: Tensor) -> Tensor:
    """Half as bright: below and above white once the gains are on it, not above it everywhere."""
    return 0.5 * image


INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "defect": spikes,
    "exposure": highlights,
    "raw_denoise": fine_noise,
    "white_balance": dim,
}


def cases() -> list[Any]:
    """(stage, choices, side): every stage, demosaicing by each method, local tone also where it is subsampled."""
    found = [(name, {}, 24) for name in STAGES if name != "demosaic"]
    method = Demosaic.parameters["method"]
    assert isinstance(method, Choice)
    found += [("demosaic", {"method": choice}, 24) for choice in method.choices]
    found += [("local_tone", {}, 160)]
    return [pytest.param(*case, id="-".join(map(str, (case[0], *case[1].values(), case[2])))) for case in found]


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize(("name", "choices", "side"), cases())
def test_gradients_of_every_stage_agree_with_finite_differences(
    name: str, choices: dict[str, Any], side: int, share: float
) -> None:
    stage = STAGES[name]()
    image = INPUTS.get(name, lambda given: given)(scene(1 if stage.takes == "mosaic" else 3, side))
    numbers = {key: p for key, p in stage.parameters.items() if not isinstance(p, Choice)}
    values = {
        key: torch.tensor(
            p.low * (p.high / p.low) ** share if p.log else p.low + share * (p.high - p.low),
            dtype=torch.float64,
            requires_grad=True,
        )
        for key, p in numbers.items()
    }
    assert values.keys() | choices.keys() == stage.parameters.keys()
    weights = noise((1, 1 if stage.gives == "mosaic" else 3, side, side), 3) - 0.5

    def total(given: Tensor, changed: dict[str, Tensor]) -> Tensor:
        return (stage.apply(given, SHOT, **choices, **changed) * weights).sum()

    def agree(gradient: float, of: Callable[[float], Tensor], what: str) -> None:
        with torch.no_grad():
            expected = float((of(STEP) - of(-STEP)) / (2 * STEP))
        assert abs(expected) > LEAST, f"{what}: the picture is none that it matters for"
        assert gradient == pytest.approx(expected, rel=RELATIVE, abs=ABSOLUTE), what

    leaf = image.clone().requires_grad_()
    total(leaf, values).backward()
    for key, value in values.items():
        assert value.grad is not None, key
        agree(float(value.grad), lambda step, key=key: total(image, {**values, key: values[key] + step}), key)
    assert leaf.grad is not None
    direction = noise(tuple(image.shape), 4) - 0.5
    agree(float((leaf.grad * direction).sum()), lambda step: total(image + step * direction, values), "the picture")


def test_every_parameter_is_checked() -> None:
    """The cases above cover every stage and choice; a choice in a stage that is new needs cases of its own."""
    names = {case.values[0] for case in cases()}
    assert names == set(STAGES)
    choices = {name for name in STAGES if any(isinstance(p, Choice) for p in STAGES[name].parameters.values())}
    assert choices == {"demosaic"}


ROUNDED = {"stages": ["white_balance", "demosaic", "color_matrix", "exposure", "tone"]}


@pytest.mark.parametrize("bits", [8, 10])
def test_rounding_to_the_output_depth_lets_gradients_straight_through(bits: int) -> None:
    picture = 0.35 * scene(1, 32)  # nothing reaches white, where clamping stops gradients
    weights = noise((1, 3, 32, 32), 5)
    outputs, gradients = [], []
    for depth in (None, bits):
        gain = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        data = picture.clone().requires_grad_()
        output = pipelines.load("isp", {**ROUNDED, "output_bits": depth})(Mosaic(data, SHOT), {"exposure_gain": gain})
        (output * weights).sum().backward()
        outputs.append(output.detach())
        gradients.append((gain.grad, data.grad))
    plain, rounded = outputs
    steps = 2**bits - 1
    # Every level is one of the depth's, the nearest, and 10 bits are finer than 8.
    assert torch.allclose(rounded * steps, (rounded * steps).round(), atol=1e-9)
    assert float((rounded - plain).abs().max()) <= 0.5 / steps + 1e-12
    assert float((rounded - plain).abs().max()) > 0.4 / steps
    for smooth, straight in zip(*gradients, strict=True):
        assert smooth is not None and float(smooth.abs().max()) > LEAST
        assert torch.equal(smooth, straight)
