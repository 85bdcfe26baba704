"""Train the distortion network with some types left out, to see what it makes of what it never saw.

    PIXELPERFECT_DATA=... python benchmarks/held_out.py --work DIR --leave-out jpeg2000,misregistration [--steps 6000]
    PIXELPERFECT_DATA=... python benchmarks/maps_trust.py --only unseen --unseen DIR/jpeg2000-misregistration

From scratch, by the shipped configuration with a shorter schedule. One training for each ``--leave-out``, one after the
other, as rows of ablations.py are: a finished one is left as it is and one that was stopped goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from ablations import merged, train

from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.distortions.severity import find
from pixelperfect_models.distortions.table import DISTORTIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the trainings")
    parser.add_argument("--leave-out", action="append", required=True, metavar="TYPE,TYPE", help="repeatable")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tune_allocator()
    torch.set_num_threads(options.threads)
    for named in options.leave_out:
        left_out = [find(name).name for name in named.split(",")]
        kept = [name for name in DISTORTIONS if name not in left_out]
        row = {"trains": "distortion", "changes": {"distortion": {"types": kept}}}
        train(merged(row, options.steps, sets=0), "distortion", options.work / "-".join(left_out))


if __name__ == "__main__":
    main()
