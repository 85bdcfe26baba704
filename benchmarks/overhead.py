"""What the tuner itself costs per trial, beside pipeline, judge and sampler: embedded storage, trial 10 to trial 2000.

    python benchmarks/overhead.py [--trials 2020] [--side 64]

A pipeline of one addition and a judge that answers with constants take the time of nothing; sampler `random` needs
about 0.1 ms, which stays in the figure. A trial's overhead is the time from one call of the pipeline to the next, less
what pipeline and judge took: proposing, statistics of the maps, writing the trial to the study, best parameters and
result to the run's folder, progress. Beside the wall time stands the processor time, which a busy machine and a slow
disk do not change.
"""

from __future__ import annotations

import argparse
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

    calls: ClassVar[list[tuple[float, float]]] = []
    outside: ClassVar[list[list[float]]] = []

    @staticmethod
    def now() -> tuple[float, float]:
        """Wall time and this process's processor time, seconds."""
        return time.perf_counter(), time.process_time()

    @classmethod
    def spent_since(cls, begun: tuple[float, float]) -> None:
        """What began then was pipeline or judge."""
        for kind, (before, after) in enumerate(zip(begun, cls.now(), strict=True)):
            cls.outside[-1][kind] += after - before


class Trivial(Pipeline):
    """Adds one of its five parameters."""

    name = "trivial"
    parameters: ClassVar[dict[str, Parameter | Choice]] = {f"p{i}": Parameter(-0.1, 0.1, 0.0) for i in range(5)}

    def process(self, image: torch.Tensor, **parameters: torch.Tensor) -> torch.Tensor:
        """image + p0."""
        begun = Clock.now()
        Clock.calls.append(begun)
        Clock.outside.append([0.0, 0.0])
        output = image + parameters["p0"]
        Clock.spent_since(begun)
        return output


class Constant:
    """A judge that looks at one pixel."""

    types = CHANNELS

    def prepare(self, ref: torch.Tensor) -> torch.Tensor:
        """Nothing to prepare."""
        return ref

    def judge(self, test: torch.Tensor, ref: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Neutral maps; the score is a pixel's difference."""
        begun = Clock.now()
        answer = self._maps(test), (test - ref)[:, 0, 0, 0]
        Clock.spent_since(begun)
        return answer

    @staticmethod
    def _maps(test: torch.Tensor) -> torch.Tensor:
        return torch.full((test.shape[0], len(CHANNELS), *test.shape[-2:]), 0.5)


def measure(folder: Path, trials: int, side: int) -> list[list[float]]:
    """Seconds of overhead of each trial but the last: wall time and processor time."""
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
    return [[calls[n + 1][kind] - calls[n][kind] - outside[n][kind] for kind in (0, 1)] for n in range(len(calls) - 1)]


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
    print("trials\twall ms, median\t90th percentile\tprocessor ms, median")
    for low, high in WINDOWS:
        window = overhead[low:high]
        if window:
            wall, processor = (sorted(1000 * trial[kind] for trial in window) for kind in (0, 1))
            print(
                f"{low}-{high}\t{statistics.median(wall):.2f}\t{wall[int(0.9 * len(wall))]:.2f}\t"
                f"{statistics.median(processor):.2f}"
            )


if __name__ == "__main__":
    main()
