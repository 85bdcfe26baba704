"""Two workers against one: trials a minute of a pipeline that takes a second, embedded study, the shipped judge.

    python benchmarks/workers.py [--trials 16] [--rounds 3] [--load cpu|wait]

``--load cpu``: the pipeline computes until it has used one second of processor time, on one thread. It does not sleep,
so on a machine that others use too, two workers get no second processor and the ratio says how busy the machine was:
look at the share of a processor that each worker got, printed beside it. ``--load wait``: the pipeline waits one
second, as one does that asks another machine, a camera or a GPU; the ratio is then the tuner's own.

One worker and two take turns, ``--rounds`` times each. A round's rate is its trials over the time in which any was
under way, so that starting Python and loading the judge do not count; they take the same time for one as for two.
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

from pipelines.contract import Output, Pipeline
from pipelines.parameters import Choice, Parameter
from pixelperfect_models.images import write_image
from tuner import load_recipe
from tuner.runner import run

SECONDS = 1.0


class Heavy(Pipeline):
    """A gamma that takes its time; ``cpu``: one second of processor time, else one second of waiting."""

    name = "heavy"
    parameters: ClassVar[dict[str, Parameter | Choice]] = {"gamma": Parameter(0.5, 2.0, 1.0)}
    options: ClassVar[dict[str, str]] = {"load": "cpu or wait"}

    def __init__(self, load: str = "cpu") -> None:
        self._load = load

    def process(self, image: torch.Tensor, gamma: float) -> Output:
        """image ** gamma; reports the processor's share of the time."""
        wall, cpu = time.perf_counter(), time.thread_time()
        if self._load == "wait":
            time.sleep(SECONDS)
        while self._load == "cpu" and time.thread_time() - cpu < SECONDS:
            torch.sin(image).sum()
        share = (time.thread_time() - cpu) / (time.perf_counter() - wall)
        return Output(image.clamp(min=1e-4) ** gamma, {"processor_share": share})


def rate(folder: Path, workers: int, trials: int, load: str) -> tuple[float, float]:
    """Trials a minute, and the mean share of a processor that the pipeline got."""
    write_image(folder / "picture.png", torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    recipe: dict[str, Any] = {
        "pipeline": {"name": "benchmarks.workers:Heavy", "options": {"load": load}, "search": {"gamma": {}}},
        "images": {"input": "picture.png", "reference": "picture.png"},
        "search": {"strategy": "optuna", "sampler": "tpe", "trials": trials},
    }
    result = run(load_recipe(recipe, folder=folder), folder / "run", quiet=True, workers=workers)
    record = json.loads((folder / "run" / "result.json").read_text())
    assert record["trials"] == trials and record["failed"] == 0
    shares = [trial.user_attrs["measures"]["processor_share"] for trial in result.trials]
    return 60.0 * record["trials_per_second"], statistics.mean(shares)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16, help="in each round, an even number")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", choices=("cpu", "wait"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rates: dict[int, list[float]] = {1: [], 2: []}
    print("workers\ttrials a minute\tshare of a processor")
    for _ in range(options.rounds):
        for workers in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                found, share = rate(Path(folder), workers, options.trials, options.load)
            rates[workers].append(found)
            print(f"{workers}\t{found:.1f}\t{share:.2f}", flush=True)
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    print(f"ratio, median of {options.rounds}\t{statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
