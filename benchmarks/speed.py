"""Milliseconds a megapixel of the shipped judge and of piq's metrics, in one run on the same picture.

    python benchmarks/speed.py

Prints the median of the repetitions, and each metric's time as a ratio to the judge's. All use the same threads and the
same allocator setting; with a prepared reference the judge encodes the test picture alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from pixelperfect_models.allocator import tune_allocator

tune_allocator()

import torch  # noqa: E402  (the allocator must be set before torch allocates)

from pixelperfect_models import PixelPerfect  # noqa: E402
from pixelperfect_models.evaluation.classical import METRICS  # noqa: E402


def median_ms(call: Callable[[], object], repetitions: int) -> float:
    call()
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    ref = torch.rand(1, 3, options.side, options.side, generator=generator)
    test = (ref + 0.05 * torch.randn(ref.shape, generator=generator)).clamp(0, 1)
    judge = PixelPerfect.from_pretrained()
    state = judge.prepare(ref)
    calls: dict[str, Callable[[], object]] = {
        "judge, maps and score": lambda: judge.judge(test, ref),
        "judge, prepared reference": lambda: judge.judge(test, state),
        **{name: lambda metric=metric: metric(test, ref) for name, (metric, _) in METRICS.items()},  # type: ignore[misc]
    }
    megapixels = options.side**2 / 1e6
    base = None
    print(f"| method | ms/megapixel, {options.threads} thread | ratio to the judge |\n|---|---|---|")
    for name, call in calls.items():
        with torch.no_grad():
            found = median_ms(call, options.repetitions) / megapixels
        base = base or found
        print(f"| {name} | {found:.0f} | {found / base:.2f} |")


if __name__ == "__main__":
    main()
