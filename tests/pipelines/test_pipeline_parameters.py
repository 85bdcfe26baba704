"""Parameters and choices: what they refuse to be, and which values they let through."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import Choice, Parameter
from pixelperfect_models.errors import UserError

SIGMA = Parameter(0.01, 0.4, 0.1, unit="px", log=True)
COUNT = Parameter(1, 8, 2, integer=True)
WINDOW = Choice((3, 5, 7), 5)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"low": 1, "high": 1, "default": 1}, "not below"),
        ({"low": 2, "high": 1, "default": 1.5}, "not below"),
        ({"low": 0, "high": 1, "default": 1.1}, "outside"),
        ({"low": 0, "high": 1, "default": -0.1}, "outside"),
        ({"low": 0, "high": 1, "default": 0.5, "log": True}, "low > 0"),
        ({"low": 0, "high": math.inf, "default": 0.5}, "finite"),
        ({"low": math.nan, "high": 1, "default": 0.5}, "finite"),
        ({"low": "0", "high": 1, "default": 0.5}, "finite number"),
        ({"low": 0, "high": True, "default": 0.5}, "finite number"),
        ({"low": 0, "high": 3, "default": 0.5, "integer": True}, "whole"),
    ],
)
def test_impossible_parameters_are_refused(arguments: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Parameter(**arguments)


@pytest.mark.parametrize(
    ("choices", "default", "reason"),
    [
        ((), 1, "at least one"),
        ("abc", "a", "tuple"),
        ((1, 1), 1, "twice"),
        ((1, 2), 3, "none of"),
        (([1],), 1, "is a list"),
    ],
)
def test_impossible_choices_are_refused(choices: tuple, default: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Choice(choices, default)  # type: ignore[arg-type]


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(0.01, 0.4))
def test_values_within_the_bounds_pass_unchanged(value: float) -> None:
    assert SIGMA.check(value) == value
    tensor = torch.tensor(value, requires_grad=True)
    assert SIGMA.check(tensor) is tensor


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats().filter(lambda x: not 0.009 < x < 0.41))
def test_values_beyond_the_bounds_are_refused_with_the_bounds(value: float) -> None:
    with pytest.raises(UserError, match=r"denoise: sigma = .* is out of bounds, expected \[0.01, 0.4\] px"):
        SIGMA.check(value, "denoise: sigma")


@pytest.mark.parametrize("bound", [0.01, 0.4])
def test_float32_bounds_pass(bound: float) -> None:
    # 0.4 as float32 is 0.4000000059...
    assert SIGMA.check(torch.tensor(bound)).item() == pytest.approx(bound)
    assert SIGMA.check(np.float32(bound)) == pytest.approx(bound)


def test_the_slack_at_a_logarithmic_bound_does_not_reach_zero() -> None:
    with pytest.raises(UserError, match="out of bounds"):
        Parameter(1e-6, 1.0, 0.1, log=True).check(0.0)


@pytest.mark.parametrize("value", [True, "0.1", None, [0.1]])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="expected a number"):
        SIGMA.check(value)


def test_a_tensor_of_several_numbers_is_refused() -> None:
    with pytest.raises(UserError, match="0-dim"):
        SIGMA.check(torch.tensor([0.1, 0.2]))


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), torch.tensor(3.0)])
def test_integers_come_out_as_int(value: object) -> None:
    assert COUNT.check(value) == 3
    assert type(COUNT.check(value)) is int


def test_fractions_are_refused_for_integers() -> None:
    with pytest.raises(UserError, match="whole number"):
        COUNT.check(2.5)


@pytest.mark.parametrize("value", [7, 7.0, np.int64(7), torch.tensor(7)])
def test_choices_come_out_as_declared(value: object) -> None:
    assert WINDOW.check(value) == 7
    assert type(WINDOW.check(value)) is int


@pytest.mark.parametrize("value", [4, "5", None, True, [3], torch.tensor([3, 5])])
def test_what_is_no_choice_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"none of its choices.*3, 5, 7"):
        WINDOW.check(value, "window")


def test_the_nearest_choice_is_named() -> None:
    with pytest.raises(UserError, match="did you mean 'soft'"):
        Choice(("soft", "hard"), "soft").check("sofd")


def test_true_is_not_one() -> None:
    flag = Choice((True, False), True)
    assert flag.check(False) is False
    with pytest.raises(UserError):
        flag.check(1)


def test_bounds_as_text() -> None:
    assert SIGMA.bounds == "[0.01, 0.4] px"
    assert WINDOW.bounds == "one of 3, 5, 7"
