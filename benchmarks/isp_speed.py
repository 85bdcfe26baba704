"""Steps a second of a gradient run of the whole ISP on one mosaic, and what they are spent on.

    python benchmarks/isp_speed.py [--side 512] [--steps 10] [--threads 2]

All continuous parameters of recipes/isp.yaml, one picture, Adam; the time of the pipeline's and the judge's forward
pass is measured apart, the rest of a step is the backward pass through both.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.nn.functional import interpolate

import pipelines
from pipelines.isp.mosaic import Mosaic
from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.images import read_image
from tuner import load_recipe

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tune_allocator()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(ROOT / "recipes/isp.yaml")
    isp = pipelines.load("isp", recipe.pipeline.options)
    photo = read_image(ROOT / "recipes/photos/clean/nyc.png")
    picture = interpolate(photo, (options.side, options.side), mode="bicubic").clamp(0, 1)
    mosaic = Mosaic(*isp.input.simulation.shoot(picture, "nyc"))  # type: ignore[attr-defined]
    judge = PixelPerfect.from_pretrained()
    reference = judge.prepare(picture)
    names = list(recipe.pipeline.search)
    leaves = {name: torch.tensor(float(isp.parameters[name].default), requires_grad=True) for name in names}
    optimiser = torch.optim.Adam(leaves.values(), lr=1e-4)
    spent = {"ISP forward": 0.0, "judge forward": 0.0, "backward and step": 0.0}
    for step in range(options.steps + 2):
        if step == 2:  # the first two warm up
            spent = dict.fromkeys(spent, 0.0)
            begin = time.perf_counter()
        start = time.perf_counter()
        with torch.no_grad():
            for name, leaf in leaves.items():
                leaf.clamp_(isp.parameters[name].low, isp.parameters[name].high)
        output = isp.run(mosaic, {**recipe.pipeline.fixed, **leaves}).image
        spent["ISP forward"] += time.perf_counter() - start
        start = time.perf_counter()
        maps, _ = judge.judge(output, reference)
        loss = judge.difference(output, reference).mean() + (2 * maps - 1).abs().mean()
        spent["judge forward"] += time.perf_counter() - start
        start = time.perf_counter()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        spent["backward and step"] += time.perf_counter() - start
    seconds = time.perf_counter() - begin
    print(f"{len(names)} parameters, {options.side} x {options.side}, {options.threads} threads: ", end="")
    print(f"{options.steps / seconds:.2f} steps/s")
    for part, time_spent in spent.items():
        print(f"  {part}: {time_spent / options.steps * 1000:.0f} ms ({time_spent / seconds:.0%})")


if __name__ == "__main__":
    main()
