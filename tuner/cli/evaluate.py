"""``tuner evaluate``: how good the judge is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tuner.cli.output import emit_json, note, table
from tuner.cli.session import Json, Weights, load_judge


def evaluate(
    folder: Annotated[
        Path, typer.Argument(metavar="DATASET_DIR", help="A folder with ratings.csv, or of pristine photos.")
    ],
    json: Json = False,
    weights: Weights = None,
) -> None:
    """Measure the judge: against human ratings where the folder holds ratings.csv, else on planted distortions.

    Ratings give the rank correlation (SRCC) of the judge and of classical metrics. Planted distortions give, for each
    type, how often its map is the strongest (top1), how well it finds the place (AUC), and which other maps answer.
    """
    from pixelperfect_models.evaluation import evaluate as measure

    result = measure(folder, load_judge(weights), progress=_progress)
    if json:
        emit_json(result)
    elif result["kind"] == "ratings":
        _print_ratings(result)
    else:
        _print_planted(result)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def _print_ratings(result: dict[str, Any]) -> None:
    note(f"{result['pictures']} rated pictures")
    columns = ("method", "SRCC", "95 % low", "95 % high", "KRCC")
    rows = [(name, *(row[key] for key in ("srcc", "low", "high", "krcc"))) for name, row in result["overall"].items()]
    table(columns, rows)
    methods = list(result["overall"])
    print()
    table(
        ("type", *(f"SRCC {name}" for name in methods)),
        [(kind, *(row.get(name) for name in methods)) for kind, row in result["types"].items()],
    )


def _print_planted(result: dict[str, Any]) -> None:
    note(f"{result['pairs']} pairs")
    rows: list[tuple[Any, ...]] = [("all types", result["top1"], result["auc"], None)]
    for kind, row in result["types"].items():
        leakage = sorted(row["leakage"].items(), key=lambda item: -item[1])[:3]
        rows.append((kind, row["top1"], row["auc"], ", ".join(f"{name} {share:.2f}" for name, share in leakage)))
    table(("type", "top1", "AUC", "strongest maps inside"), rows)
