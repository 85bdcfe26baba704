"""The files of a run's folder, other than the study: where they lie and how they are written."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import to_array, write_image
from tuner.map_sheet import map_sheet
from tuner.objective import Objective
from tuner.storage import STUDY_FILE, Store

BEST, RESULT, RECIPE, ENVIRONMENT = "best_parameters.yaml", "result.json", "recipe.yaml", "environment.json"
PARETO, STORAGE = "pareto.json", "storage.yaml"
_PACKAGES = (
    *("pixel-perfect-tuner", "torch", "torchvision", "kornia", "optuna", "numpy", "scipy", "scikit-image"),
    *("opencv-python-headless", "pillow", "cmaes"),
)


def new_folder(name: str, out_dir: str | Path | None) -> Path:
    """Make the folder of a new run: ``out_dir``, or ``runs/<name>-<date>-<time>`` below the current folder.

    Raises:
        UserError: ``out_dir`` holds files already, is a file, or cannot be made.
    """
    if out_dir is None:
        stem = Path("runs") / f"{safe_name(name)}-{time.strftime('%Y%m%d-%H%M%S')}"
        number, folder = 2, stem
        while folder.exists():
            folder, number = Path(f"{stem}-{number}"), number + 1
    else:
        folder = Path(out_dir)
        if any((folder / name).exists() for name in (STUDY_FILE, STORAGE)):
            raise UserError(f"{folder}: already holds a run; go on with it by --resume, or choose another folder")
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder}: not empty; choose a new folder for the run")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror})") from None
    return folder.absolute()


def existing_folder(name: str, out_dir: str | Path | None) -> Path:
    """The folder of a run to resume: ``out_dir``, or the newest ``runs/<name>-*``. Raises UserError without one."""
    if out_dir is not None:
        return Path(out_dir).absolute()
    found = sorted(
        (path for file in (STUDY_FILE, STORAGE) for path in Path("runs").glob(f"{safe_name(name)}-[0-9]*/{file}")),
        key=lambda path: path.stat().st_mtime,
    )
    if not found:
        raise UserError(
            f"runs/{safe_name(name)}-*: no run to resume; name its folder with --out, or start without --resume"
        )
    return found[-1].parent.absolute()


def write_storage(folder: Path, store: Store) -> None:
    """Note in the run's folder which study on a server is its own; the URL is written without its password."""
    write_yaml(folder / STORAGE, {"storage": store.shown, "study": store.study_name})


def read_storage(folder: Path) -> tuple[str, str] | None:
    """URL and name of the study that :func:`write_storage` noted; None where the study is in the folder itself."""
    try:
        noted = yaml.safe_load((folder / STORAGE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    try:
        return str(noted["storage"]), str(noted["study"])
    except (TypeError, KeyError):
        raise UserError(f"{folder / STORAGE}: expected the keys storage and study") from None


def safe_name(name: str) -> str:
    """``name`` with every character that is trouble in a file name replaced by ``-``."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name).strip(".-") or "run"


def write_yaml(path: Path, data: Mapping[str, Any], sync: bool = True) -> None:
    """Write YAML atomically, keys in the order given."""
    write_text(path, yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True), sync)


def write_json(path: Path, data: Mapping[str, Any], sync: bool = True) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n", sync)


def write_text(path: Path, text: str, sync: bool = True) -> None:
    """Replace ``path`` in one step: a reader, or a kill, finds the old file or the new one, never half of it.

    ``sync``: after a power cut too, at the cost of a wait for the disk.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        if sync:
            os.fsync(stream.fileno())
    beside.replace(path)


def write_pictures(folder: Path, objective: Objective, best: Mapping[str, Any], start: Mapping[str, Any]) -> None:
    """Write ``outputs/<picture>.png`` and ``maps/<picture>.png`` at the best parameters.

    As searched: of a cropped recipe the crop. Outputs of more than 8 bits are written in 16. Where there is no
    reference the maps compare with the output at ``start``. Where the search rehearsed, outputs are of the pictures
    themselves, maps of the rehearsal.
    """
    for picture in objective.pictures:
        with torch.no_grad():
            output = objective.pipeline.run(picture.image, best).image
            reference = picture.reference
            names = ("output", "reference")
            if reference is None:
                reference, names = objective.pipeline.run(picture.image, start).image, ("output", "start")
            maps, score = objective.judge.judge(output, objective.judge.prepare(reference))
            own = output if picture.rehearsed is None else objective.pipeline.run(picture.rehearsed, best).image
        write_image(folder / "outputs" / f"{picture.name}.png", own, bits=objective.pipeline.file_bits)
        sheet = map_sheet(
            to_array(output),
            to_array(reference),
            (2.0 * maps[0] - 1.0).numpy(),
            objective.judge.types,
            float(score[0]),
            names,
        )
        write_image(folder / "maps" / f"{picture.name}.png", sheet)


def environment() -> dict[str, Any]:
    """What may matter to reproduce a run: versions, commit, processor, threads."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "git_commit": _git_commit(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _git_commit() -> str | None:
    """The commit of this source tree; None where it is installed without git."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux: what the standard library knows must do
    return platform.processor() or platform.machine()
