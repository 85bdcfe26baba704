"""The box that is searched: bounds, scales, and the way to the unit cube and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pixelperfect_models.errors import UserError
from tests.tuner.tiny_pipelines import Power, Steps
from tuner.parameter_space import Dimension, ParameterSpace
from tuner.recipe import PipelineSpec, SearchSpace

shares = st.floats(0.0, 1.0)


@st.composite
def dimensions(draw: st.DrawFn) -> Dimension:
    """A continuous dimension, linear or logarithmic, of any size."""
    log = draw(st.booleans())
    low = draw(st.floats(1e-6, 1e3) if log else st.floats(-1e3, 1e3))
    width = draw(st.floats(0.01, 100.0))
    high = low * (1.0 + width) if log else low + width * max(1.0, abs(low))
    return Dimension("x", low, high, log=log, default=low)


@given(dimensions(), shares)
def test_from_unit_to_unit_is_a_roundtrip(dimension: Dimension, share: float) -> None:
    space = ParameterSpace([dimension])
    value = dimension.at(share)
    assert space.to_unit({"x": value}).item() == pytest.approx(share, abs=1e-6)
    tensor = space.from_unit(torch.tensor([share], dtype=torch.float64))["x"]
    scale = max(abs(dimension.low), abs(dimension.high))
    assert tensor.item() == pytest.approx(value, rel=1e-6, abs=1e-6 * scale)


@given(dimensions(), shares)
def test_values_never_leave_the_bounds(dimension: Dimension, share: float) -> None:
    space = ParameterSpace([dimension])
    for unit in (0.0, share, 1.0):
        values = space.from_unit(torch.tensor([unit], dtype=torch.float64))
        assert dimension.low <= values["x"].item() <= dimension.high
        number = space.numbers(values)["x"]
        assert dimension.low <= number <= dimension.high
        assert np.float32(number) == pytest.approx(values["x"].item(), rel=2e-7)


def test_numbers_do_not_follow_numpys_print_options() -> None:
    space = ParameterSpace([Dimension("x", 0.0, 20.4375)])
    with np.printoptions(precision=3, legacy="1.13"):
        assert space.numbers({"x": torch.tensor(10.21875)}) == {"x": 10.21875}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_gradient_is_the_slope_of_the_scale_on_the_bounds_too(share: float) -> None:
    space = ParameterSpace([Dimension("log", 0.1, 0.4, log=True), Dimension("linear", 0.1, 0.4)])
    unit = torch.tensor([share, share], dtype=torch.float64, requires_grad=True)
    values = space.from_unit(unit)
    (values["log"] + values["linear"]).backward()
    assert unit.grad is not None
    log_value = 0.1 * 4.0**share
    assert unit.grad.tolist() == pytest.approx([log_value * math.log(4.0), 0.3], rel=1e-5)


def test_a_logarithmic_scale_has_its_geometric_mean_in_the_middle() -> None:
    assert Dimension("x", 0.01, 1.0, log=True).at(0.5) == pytest.approx(0.1)
    assert Dimension("x", 0.01, 1.0).at(0.5) == pytest.approx(0.505)


def test_defaults_come_out_as_written() -> None:
    space = ParameterSpace([Dimension("x", 0.1, 0.7, default=0.3)])
    values = space.from_unit(space.to_unit(space.defaults()))
    assert space.numbers(values) == {"x": 0.3}


def test_whole_numbers_and_choices_share_the_unit_interval_equally() -> None:
    whole = Dimension("n", 1, 4, integer=True)
    choice = Dimension("c", choices=("a", "b", "c", "d"))
    units = (np.arange(400) + 0.5) / 400
    assert np.bincount([int(whole.at(u)) for u in units]).tolist() == [0, 100, 100, 100, 100]
    assert [choice.at(u) for u in (0.0, 0.26, 0.51, 1.0)] == ["a", "b", "c", "d"]
    assert whole.at(0.0) == 1
    assert whole.at(1.0) == 4


def test_grid_points() -> None:
    assert Dimension("x", 0.01, 1.0, log=True).points(3) == pytest.approx([0.01, 0.1, 1.0])
    assert Dimension("n", 1, 3, integer=True).points(9) == [1, 2, 3]
    assert Dimension("c", choices=("a", "b")).points(5) == ["a", "b"]


def test_space_of_a_recipe_narrows_bounds_and_keeps_defaults_inside() -> None:
    spec = PipelineSpec(
        name="power",
        fixed={"lift": 0.1},
        search={"gamma": SearchSpace(low=1.5, high=2.0, log=True)},
    )
    space = ParameterSpace.of(Power(), spec)
    assert space.defaults() == {"gamma": 1.5}
    assert space.full({"gamma": 1.7}) == {"lift": 0.1, "gamma": 1.7}
    assert space.dimensions[0].continuous


def test_space_of_choices_and_whole_numbers() -> None:
    search = {"mode": SearchSpace(choices=["same", "bright"]), "levels": SearchSpace(low=2.5, high=9.5, log=False)}
    space = ParameterSpace.of(Steps(), PipelineSpec(name="steps", search=search))
    assert space.defaults() == {"mode": "same", "levels": 8}
    assert (space.dimensions[1].low, space.dimensions[1].high) == (3, 9)
    assert not any(dimension.continuous for dimension in space.dimensions)
    empty = {"levels": SearchSpace(low=2.2, high=2.8, log=False)}
    with pytest.raises(UserError, match=r"levels: no whole number between 2\.2 and 2\.8"):
        ParameterSpace.of(Steps(), PipelineSpec(name="steps", search=empty))
