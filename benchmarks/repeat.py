"""Does a recipe give the same trials twice? Parameters and values are compared to the last digit.

    python benchmarks/repeat.py recipes/denoise.yaml recipes/isp_sweep.yaml ... [--set key=value ...]

Each recipe is run twice by the command line, in new processes and folders. Prints a line a recipe; exit code 1 where
two runs differ.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tuner.study import open_study


def trials(recipe: str, folder: Path, settings: list[str]) -> list[tuple[dict[str, Any], list[float] | None, str]]:
    """Parameters, values and state of all trials of a new run."""
    chosen = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "tuner", "run", recipe, "--out", str(folder), "--quiet", *chosen]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=3600)
    found = open_study(folder).get_trials(deepcopy=False)
    return [(trial.params, list(trial.values) if trial.values else None, trial.state.name) for trial in found]


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    options = parser.parse_args()
    same = True
    print("recipe\ttrials\tidentical")
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            first, second = (trials(recipe, Path(folder) / name, options.settings) for name in ("first", "second"))
        equal = sum(one == other for one, other in zip(first, second, strict=False))
        same &= len(first) == len(second) == equal
        print(f"{recipe}\t{len(first)}, {len(second)}\t{equal}", flush=True)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
