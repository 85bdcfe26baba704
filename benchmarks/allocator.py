"""What tune_allocator() gains: one forward and backward pass of F with and without it, alternating fresh processes.

python benchmarks/allocator.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys

_CODE = """
import sys, time
if sys.argv[1] == "tuned":
    from pixelperfect_models.allocator import tune_allocator
    tune_allocator()
import torch
torch.set_num_threads(1)
from pixelperfect_models import PixelPerfect
judge = PixelPerfect.from_pretrained()
test, ref = torch.rand(2, 1, 3, 512, 512)
test.requires_grad_(True)
for repetition in range(4):
    started = time.perf_counter()
    judge.maps(test, ref).sum().backward()
    seconds = time.perf_counter() - started
print(seconds)
"""


def main() -> None:
    times: dict[str, list[float]] = {"default": [], "tuned": []}
    for _ in range(5):
        for name, values in times.items():
            done = subprocess.run(
                [sys.executable, "-c", _CODE, name], capture_output=True, text=True, timeout=300, check=True
            )
            values.append(float(done.stdout))
    default, tuned = (statistics.median(times[name]) for name in ("default", "tuned"))
    print(f"default {default * 1000:.0f} ms, tuned {tuned * 1000:.0f} ms, ratio {default / tuned:.2f}")


if __name__ == "__main__":
    main()
