"""How many evaluations each search needs: composite, gradient and hybrid against Optuna's samplers, median over seeds.

    PIXELPERFECT_DATA=... python benchmarks/search_efficiency.py [--work DIR] [--only TASK ...] [--seeds 5]

Writes docs/search_efficiency.md, .json and .png from what is in DIR; a run that is finished there is not made again,
one that was interrupted goes on. One process, one thread, one after the other.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import search_tasks
import torch
from optuna.trial import FrozenTrial, TrialState
from search_efficiency_report import write_report

from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from tuner import run
from tuner.recipe_search import CompositeSearch, GradientSearch, HybridSearch, OptunaSearch, Search

BLACK_BOX = ("denoise", "codec", "jpeg", "known")
TASKS = (*BLACK_BOX, "isp", "isp_choice")
BUDGET = 100
"""Evaluations of the searches that are compared at equal budget; TPE, whose end is the target, has twice as many."""


@dataclass(frozen=True)
class Entry:
    """One search: what a run of it is made by, and on which tasks it is run."""

    name: str
    make: Callable[[int], Search]
    tasks: tuple[str, ...] = TASKS
    peer: bool = True


# 33 steps are 99 pipeline runs: forward one, backward two.
ENTRIES = (
    Entry("tpe", lambda seed: OptunaSearch(sampler="tpe", trials=2 * BUDGET, seed=seed)),
    Entry("composite", lambda seed: CompositeSearch(trials=BUDGET, seed=seed), BLACK_BOX, peer=False),
    Entry("lbfgsb", lambda seed: GradientSearch(optimizer="lbfgsb", starts=1, steps=33, seed=seed), ("isp",), False),
    Entry("adam", lambda seed: GradientSearch(optimizer="adam", starts=1, steps=33, seed=seed), ("isp",), False),
    Entry("hybrid", lambda seed: HybridSearch(trials=11, steps=5, seed=seed), ("isp_choice",), peer=False),
    Entry("gp", lambda seed: OptunaSearch(sampler="gp", trials=BUDGET, seed=seed)),
    Entry("cmaes", lambda seed: OptunaSearch(sampler="cmaes", trials=BUDGET, seed=seed), TASKS[:-1]),
    Entry("random", lambda seed: OptunaSearch(sampler="random", trials=BUDGET, seed=seed)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/search_efficiency"), help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=TASKS, help="tasks; default: all")
    parser.add_argument("--searches", nargs="+", choices=[entry.name for entry in ENTRIES], help="default: all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--first-seed", type=int, default=20, help="those below 20 were looked at while searches were made"
    )
    parser.add_argument("--docs", type=Path, default=search_tasks.ROOT / "docs", help="where the table goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tune_allocator()
    judge = PixelPerfect.from_pretrained()
    # Seeds outermost: what is there early is the same for all.
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for task in options.only:
            for entry in ENTRIES:
                if task in entry.tasks and (not options.searches or entry.name in options.searches):
                    one(options.work, task, entry, seed, judge)
    write_report(collect(options.work), options.docs)


def one(work: Path, task: str, entry: Entry, seed: int, judge: PixelPerfect) -> None:
    """Make or finish one run and keep its curve as ``<task>-<search>-<seed>.json``."""
    kept = work / f"{task}-{entry.name}-{seed}.json"
    if kept.exists():
        return
    bench = search_tasks.load(task, work / "pictures", judge)
    folder = work / "runs" / kept.stem
    spec = entry.make(seed)
    started = time.perf_counter()
    result = run(
        bench.recipe.copy_with(search=spec), folder, resume=(folder / "study.log").exists(), quiet=True, judge=judge
    )
    record = {
        "task": task,
        "search": entry.name,
        "seed": seed,
        "peer": entry.peer,
        **search_tasks.describe(bench),
        "curve": curve(result.trials),
        "distance": search_tasks.distance(bench, result.best["parameters"]),
        "evaluation_s": sum(trial.user_attrs.get("seconds", 0.0) for trial in result.trials),
        "wall_s": time.perf_counter() - started,
    }
    temporary = kept.with_suffix(".part")
    temporary.write_text(json.dumps(record))
    temporary.replace(kept)
    print(
        f"{kept.stem}: best {result.best['value']:.4f} of {len(result.trials)} in {record['wall_s']:.0f} s", flush=True
    )


def curve(trials: Sequence[FrozenTrial]) -> list[tuple[int, float]]:
    """(pipeline runs so far, best feasible value so far) wherever something was evaluated."""
    points: list[tuple[int, float]] = []
    spent, best = 0, -math.inf
    for trial in trials:
        runs = trial.user_attrs.get("runs", 1)
        # Within a trial of hybrid each step has its own value; a step that failed has none.
        path = trial.user_attrs.get("path") or [trial.values[0] if trial.state == TrialState.COMPLETE else None]
        for number, value in enumerate(path, start=1):
            if value is not None and trial.user_attrs.get("feasible", True):
                best = max(best, value)
            points.append((spent + math.ceil(runs * number / len(path)), best))
        spent += runs
    return points


def collect(work: Path) -> list[dict[str, Any]]:
    """All kept runs."""
    return [json.loads(path.read_text()) for path in sorted(work.glob("*.json"))]


if __name__ == "__main__":
    main()
