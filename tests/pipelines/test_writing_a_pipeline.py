"""docs/writing_a_pipeline.md: the template works as copied, stays short, and its entry-point lines are right."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipelines import load
from pipelines.registry import ENTRY_POINT_GROUP

PAGE = (Path(__file__).parents[2] / "docs" / "writing_a_pipeline.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.delitem(sys.modules, "my_pipeline", raising=False)
    Path("my_pipeline.py").write_text(blocks("python")[0])
    return "my_pipeline:MeanBlend"


def test_the_template_is_short() -> None:
    assert len(blocks("python")[0].splitlines()) <= 30


def test_the_template_works_as_copied(template: str, noisy: Tensor, picture: Tensor) -> None:
    pipeline = load(template)
    output = pipeline(noisy, {"strength": 1.0, "offset": 0.1, "window": 5})
    assert float((output - picture).square().mean()) < float((noisy - picture).square().mean())
    black = torch.zeros(1, 3, 16, 16, requires_grad=True)
    values = {key: torch.tensor(pipeline.parameters[key].default, requires_grad=True) for key in ("strength", "offset")}
    pipeline(black, values).sum().backward()
    assert all(tensor.grad is not None and torch.isfinite(tensor.grad).all() for tensor in (black, *values.values()))


def test_the_lines_that_use_it_run(template: str, noisy: Tensor) -> None:
    names: dict = {"image": noisy}
    exec(blocks("python")[1], names)
    assert names["output"].shape == noisy.shape
    assert names["measured"].measures["seconds"] > 0


def test_the_entry_point_lines_name_the_group_and_the_template(template: str) -> None:
    points = tomllib.loads(blocks("toml")[0])["project"]["entry-points"]
    assert points == {ENTRY_POINT_GROUP: {"mylab.mean_blend": template}}
