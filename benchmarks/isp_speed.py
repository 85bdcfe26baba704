"""Steps a second of a gradient run of the whole ISP on one mosaic, and what they are spent on.

    python benchmarks/isp_speed.py [--side 512] [--steps 10] [--threads 2]

The search of recipes/isp.yaml with all its parameters and penalties, as the tuner steps it, on one picture; what is
timed is pipeline, judge, penalties and the backward pass through all of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import interpolate

from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.images import read_image, write_image
from tuner import load_recipe
from tuner.runner import prepare

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tune_allocator()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(ROOT / "recipes/isp.yaml").resolved()
    with tempfile.TemporaryDirectory() as folder:
        photo = read_image(ROOT / "recipes/photos/clean/nyc.png")
        file = Path(folder) / "nyc.png"
        write_image(file, interpolate(photo, (options.side, options.side), mode="bicubic").clamp(0, 1))
        recipe["images"] = {"input": str(file), "reference": str(file)}
        objective, space = prepare(load_recipe(recipe, folder=ROOT))
    spent: dict[str, float] = {}
    objective.pipeline.run = timed(objective.pipeline.run, "ISP forward", spent)  # type: ignore[method-assign]
    for name in ("maps", "difference"):
        setattr(objective.judge, name, timed(getattr(objective.judge, name), "judge forward", spent))
    leaf = space.to_unit(space.defaults()).double().clone().requires_grad_()
    optimizer = torch.optim.Adam([leaf], lr=1e-3)
    begin = 0.0
    for step in range(options.steps + 2):
        if step == 2:  # the first two warm up
            spent.clear()
            begin = time.perf_counter()
        optimizer.zero_grad()
        objective.evaluate_backward(lambda: space.full(space.from_unit(leaf)))
        optimizer.step()
        with torch.no_grad():
            leaf.clamp_(0.0, 1.0)
    seconds = time.perf_counter() - begin
    spent["backward and the rest"] = seconds - sum(spent.values())
    print(f"{leaf.numel()} parameters, {options.side} x {options.side}, {options.threads} threads: ", end="")
    print(f"{options.steps / seconds:.2f} steps/s")
    for part, time_spent in spent.items():
        print(f"  {part}: {time_spent / options.steps * 1000:.0f} ms ({time_spent / seconds:.0%})")


def timed(function: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    """``function``, its seconds added to ``spent[part]``."""

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - start

    return call


if __name__ == "__main__":
    main()
