"""The contract: what is checked before a pipeline runs, and what after."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines import Choice, Output, Parameter, Pipeline, PipelineError, check_output, load
from pipelines.parameters import Parameters
from pixelperfect_models.errors import PixelPerfectError, UserError


class Probe(Pipeline):
    """Keeps what it was given and returns what it was told to."""

    name = "probe"
    parameters: ClassVar[Parameters] = {
        "strength": Parameter(0.0, 1.0, 0.25),
        "count": Parameter(1, 9, 3, integer=True),
        "mode": Choice(("soft", "hard"), "soft"),
    }

    def __init__(self, result: Any = None) -> None:
        self.result = result

    def process(self, image: Tensor, **values: Any) -> Any:
        self.values = values
        self.grad = torch.is_grad_enabled()
        if isinstance(self.result, Exception):
            raise self.result
        return image.clone() if self.result is None else self.result


class Differentiable(Probe):
    differentiable = True

    def process(self, image: Tensor, **values: Any) -> Any:
        super().process(image, **values)
        return image * values["strength"]


IMAGE = torch.rand(2, 3, 16, 17, generator=torch.Generator().manual_seed(0))


def test_missing_parameters_take_their_defaults_and_order_is_the_declared_one() -> None:
    probe = Probe()
    probe(IMAGE, {"mode": "hard"})
    assert list(probe.values.items()) == [("strength", 0.25), ("count", 3), ("mode", "hard")]
    assert isinstance(probe.values["strength"], float)
    assert not probe.grad


def test_differentiable_pipelines_get_tensors_and_gradients_reach_them() -> None:
    probe = Differentiable()
    strength = torch.tensor(0.5, requires_grad=True)
    image = IMAGE.double().requires_grad_()
    output = probe(image, {"strength": strength})
    output.sum().backward()
    assert probe.values["strength"].dtype == torch.float64
    assert probe.values["strength"].ndim == 0
    assert type(probe.values["count"]) is int
    assert strength.grad is not None
    assert strength.grad.item() == pytest.approx(float(image.detach().sum()))
    assert image.grad is not None
    with torch.no_grad():
        assert not probe(image, {"strength": strength}).requires_grad


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(
        UserError,
        match=r"probe: no parameter 'strenght'; did you mean 'strength'\? \(it has: strength, count, mode\)",
    ):
        Probe()(IMAGE, {"strenght": 0.1})


def test_out_of_bounds_values_name_pipeline_parameter_value_and_bounds() -> None:
    with pytest.raises(UserError, match=r"probe: strength = 1.5 is out of bounds, expected \[0, 1\]"):
        Probe()(IMAGE, {"strength": 1.5})


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((1, 3, 16, 16), dtype=np.float32), "ndarray"),
        (torch.zeros(3, 16, 16), "shape"),
        (torch.zeros(1, 1, 16, 16), "shape"),
        (torch.zeros(0, 3, 16, 16), "shape"),
        (torch.zeros(1, 3, 15, 20), "20 x 15"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "uint8"),
        (torch.full((1, 3, 16, 16), torch.nan), "NaN"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        Probe()(image)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (ZeroDivisionError("by zero"), "raised ZeroDivisionError: by zero"),
        (torch.full_like(IMAGE, torch.nan), "NaN or infinite values at 1632 of 1632"),
        (torch.full_like(IMAGE, torch.inf), "NaN or infinite"),
        (IMAGE[:, :, 1:], r"shape \(2, 3, 15, 17\), expected \(2, 3, 16, 17\)"),
        (IMAGE.double(), "float64"),
        (IMAGE.numpy(), "ndarray"),
        (Output(None), "NoneType"),  # type: ignore[arg-type]
        (IMAGE * 255, "expected the scale"),
        (IMAGE.to("meta"), "meta"),
        (Output(IMAGE, {"bytes": float("nan")}), "measure 'bytes' = nan"),
        (Output(IMAGE, {"bytes": "many"}), "measure 'bytes'"),  # type: ignore[dict-item]
    ],
)
def test_failures_and_broken_outputs_name_the_pipeline_and_the_reason(result: Any, reason: str) -> None:
    with pytest.raises(PipelineError, match=f"^probe: .*{reason}") as caught:
        Probe(result)(IMAGE)
    assert caught.value.name == "probe"
    assert str(caught.value) == f"probe: {caught.value.reason}"


def test_the_cause_of_a_failure_is_kept() -> None:
    cause = KeyError("tap")
    with pytest.raises(PipelineError) as caught:
        Probe(cause)(IMAGE)
    assert caught.value.__cause__ is cause


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(UserError, match="no such lens profile"):
        Probe(UserError("no such lens profile"))(IMAGE)


def test_pipeline_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(PipelineError("probe", "broke")))
    assert (error.name, error.reason, str(error)) == ("probe", "broke", "probe: broke")
    assert isinstance(error, PixelPerfectError)
    assert not isinstance(error, UserError)


def test_overshoot_is_clamped() -> None:
    output = Probe(IMAGE * 3 - 1)(IMAGE)
    assert torch.equal(output, (IMAGE * 3 - 1).clamp(0, 1))


def test_run_measures_seconds_and_keeps_own_measures() -> None:
    output = Probe(Output(IMAGE, {"bytes": 12})).run(IMAGE)
    assert output.measures["bytes"] == 12.0
    assert 0.0 < output.measures["seconds"] < 10.0
    assert torch.equal(output.image, IMAGE)


def test_the_input_is_left_alone() -> None:
    before = IMAGE.clone()
    for name in ("denoise.bilateral", "denoise.bilateral_opencv", "denoise.tv_chambolle", "tone.gamma"):
        load(name)(IMAGE)
    assert torch.equal(IMAGE, before)


def test_check_output_stands_alone() -> None:
    check_output(IMAGE, IMAGE)
    with pytest.raises(PipelineError, match="pipeline: returned shape"):
        check_output(IMAGE[:1], IMAGE)
