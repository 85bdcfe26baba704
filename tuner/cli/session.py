"""What the commands that compute have in common: threads and the judge."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pixelperfect_models.judge import PixelPerfect

Weights = Annotated[
    Path | None,
    typer.Option("--weights", metavar="DIR", help="Folder of trained weights. Default: those shipped."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def use_all_cores() -> None:
    """Let torch use every core this process may run on, unless OMP_NUM_THREADS says otherwise."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def load_judge(weights: Path | None) -> PixelPerfect:
    """The judge of ``--weights``, or the shipped one. Raises UserError when the folder holds none."""
    from pixelperfect_models.judge import PixelPerfect

    use_all_cores()
    return PixelPerfect.from_pretrained(weights)
