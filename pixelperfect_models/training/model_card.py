"""The model card written beside every weights file."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch


def write_model_card(
    file: Path,
    *,
    network: str,
    config: Mapping[str, Any],
    photos: Sequence[Path],
    photo_count: int,
    steps: int,
    metrics: Mapping[str, float],
    notes: Sequence[str] = (),
    started_from: str | None = None,
    taught_by: str | None = None,
) -> None:
    """Write what the weights are and where they come from as JSON.

    Args:
        file: the card; its weights are the ``.safetensors`` beside it, whose SHA-256 is recorded.
        network: ``distortion`` or ``score``.
        config: the whole training configuration.
        photos: the photo folders; ``photo_count`` pictures were found in them.
        steps: training steps done.
        metrics: figures measured on the validation photos.
        notes: what a user of the weights must know.
        started_from: SHA-256 of the weights that the training went on from; None: from scratch.
        taught_by: SHA-256 of the weights whose maps were learned beside the targets; None: of none.
    """
    weights = file.with_suffix(".safetensors")
    card = {
        "network": network,
        "weights": weights.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "data": {"folders": [folder.name for folder in photos], "photos": photo_count},
        "seed": config["seed"],
        "steps": steps,
        "started_from": started_from,
        "taught_by": taught_by,
        "metrics": {name: round(value, 6) for name, value in metrics.items()},
        "human_labels": "none used",
        "notes": list(notes),
        "config": config,
        "git_commit": git_commit(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    file.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def git_commit() -> str | None:
    """The commit of the checkout this package lies in, with ``-dirty`` when it was changed; None outside of one."""
    folder = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None
