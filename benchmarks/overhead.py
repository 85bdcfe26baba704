"""What the tuner itself costs per trial, beside pipeline, judge and sampler: embedded storage, trial 10 to trial 2000.

    python benchmarks/overhead.py [--trials 2020] [--side 64] [--workers-storage URL]

A pipeline of one addition and a judge that answers with constants take the time of nothing; sampler `random` needs
about 0.1 ms, which stays in the figure. A trial's overhead is the time from one call of the pipeline to the next, less
what pipeline and judge took: proposing, statistics of the maps, writing the trial to the study, best parameters and
result to the run's folder, progress.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import torch

from pipelines.contract import Pipeline
from pipelines.parameters import Choice, Parameter
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.images import write_image
from tuner import load_recipe, run

WINDOWS = ((5, 25), (90, 110), (490, 510), (990, 1010), (1490, 1510), (1980, 2020))


class Clock:
    """When the pipeline was called, and how long it and the judge took since the call before."""

    calls: ClassVar[list[float]] = []
    outside: ClassVar[list[float]] = []


class Trivial(Pipeline):
    """Adds one of its five parameters."""

    name = "trivial"
    parameters: ClassVar[dict[str, Parameter | Choice]] = {f"p{i}": Parameter(-0.1, 0.1, 0.0) for i in range(5)}

    def process(self, image: torch.Tensor, **parameters: torch.Tensor) -> torch.Tensor:
        """image + p0."""
        begun = time.perf_counter()
        Clock.calls.append(begun)
        Clock.outside.append(0.0)
        output = image + parameters["p0"]
        Clock.outside[-1] += time.perf_counter() - begun
        return output


class Constant:
    """A judge that looks at one pixel."""

    types = CHANNELS

    def prepare(self, ref: torch.Tensor) -> torch.Tensor:
        """Nothing to prepare."""
        return ref

    def judge(self, test: torch.Tensor, ref: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Neutral maps; the score is a pixel's difference."""
        begun = time.perf_counter()
        answer = self._maps(test), (test - ref)[:, 0, 0, 0]
        Clock.outside[-1] += time.perf_counter() - begun
        return answer

    @staticmethod
    def _maps(test: torch.Tensor) -> torch.Tensor:
        return torch.full((test.shape[0], len(CHANNELS), *test.shape[-2:]), 0.5)


def measure(folder: Path, trials: int, side: int) -> list[float]:
    """Seconds of overhead of each trial but the last."""
    write_image(folder / "picture.png", torch.full((1, 3, side, side), 0.5))
    recipe: dict[str, Any] = {
        "pipeline": {"name": "benchmarks.overhead:Trivial", "search": {f"p{i}": {} for i in range(5)}},
        "images": {"input": "picture.png", "reference": "picture.png"},
        "objective": {"penalties": [{"type": "blur"}, {"type": "luma_noise", "statistic": "p95"}]},
        "search": {"strategy": "optuna", "sampler": "random", "trials": trials},
    }
    from benchmarks.overhead import Clock as Counted  # the pipeline lives in the module, not in __main__

    run(load_recipe(recipe, folder=folder), folder / "run", quiet=True, judge=Constant())
    calls, outside = Counted.calls[:trials], Counted.outside[:trials]  # after the last come the output pictures
    return [after - before - spent for before, after, spent in zip(calls, calls[1:], outside, strict=False)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2020)
    parser.add_argument("--side", type=int, default=64, help="picture side, pixels")
    options = parser.parse_args()
    tune_allocator()
    torch.set_num_threads(1)
    from benchmarks.overhead import Clock as Counted
    from benchmarks.overhead import Constant as Judge

    globals()["Constant"], globals()["Clock"] = Judge, Counted
    with tempfile.TemporaryDirectory() as folder:
        overhead = measure(Path(folder), options.trials, options.side)
    print("trials\tmedian ms\t90th percentile ms")
    for low, high in WINDOWS:
        window = sorted(1000 * seconds for seconds in overhead[low:high])
        if window:
            print(f"{low}-{high}\t{statistics.median(window):.2f}\t{window[int(0.9 * len(window))]:.2f}")
    print(json.dumps({"median_ms": round(1000 * statistics.median(overhead), 2)}))


if __name__ == "__main__":
    main()
