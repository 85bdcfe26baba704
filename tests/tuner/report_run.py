"""A small run and its report, for the tests of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from fake_judge import FakeJudge

from tuner.report import write_report
from tuner.runner import run


class LoudJudge(FakeJudge):
    """The fake judge with maps ten times as strong, so that there is something to see in them."""

    def judge(self, test, ref):  # type: ignore[no-untyped-def]
        maps, score = super().judge(test, ref)
        return ((maps - 0.5) * 10.0 + 0.5).clamp(0.0, 1.0), score


PENALTIES = {"penalties": [{"type": "blur", "weight": 2.0, "statistic": "p95", "region": "edges"}]}


def make_run(folder: Path, **sections: Any) -> Path:
    """Search on the tiny pictures and return the run's folder."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_pipelines.register(patch)
        recipe = tiny_pipelines.make_recipe(folder, **sections)
        return run(recipe, folder / "run", quiet=True, judge=LoudJudge()).run_dir


def make_report(run_dir: Path, **options: Any) -> str:
    """Write the report and return the page."""
    with pytest.MonkeyPatch.context() as patch:
        tiny_pipelines.register(patch)
        torch.manual_seed(99)  # the report must not depend on the state of the generator
        return write_report(run_dir, LoudJudge(), **options).read_text(encoding="utf-8")
