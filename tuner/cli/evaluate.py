"""``tuner evaluate``: how good the judge is."""

from __future__ import annotations

import math
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tuner.cli.output import emit_json, note, table
from tuner.cli.session import Json, Weights, load_judge


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DATASET_DIR", help="A human-rated set as its authors distribute it, or photos."),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="Read the folder as this: ratings, tid2013, tid2008, kadid10k, csiq, live, pipal, pieapp, cid22, or "
            "planted. Default: recognise it.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write results.json, results.md and plots here.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keep every picture's answers here; a stopped run goes on."),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option("--metrics", metavar="NAMES", help="Metrics beside the judge: all, none, or names with commas."),
    ] = "all",
    fit: Annotated[
        int, typer.Option("--fit", min=4, max=5, help="Parameters of the logistic function in front of PLCC: 4 or 5.")
    ] = 4,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", min=0, metavar="N", help="Draws for the 95 % intervals.")
    ] = 1000,
    json: Json = False,
    weights: Weights = None,
) -> None:
    """Measure the judge: against human ratings where the folder is a rated set, else on planted distortions.

    Ratings give the correlations (SRCC, KRCC, PLCC after a logistic fit) of the judge and of classical metrics with
    95 % intervals, overall and within each type. Planted distortions give, for each type, how often its map is the
    strongest (top1), how well it finds the place (AUC), and which other maps answer.
    """
    from pixelperfect_models.evaluation import evaluate as measure
    from pixelperfect_models.evaluation.classical import METRICS
    from pixelperfect_models.evaluation.report import write_report

    named = {"all": tuple(METRICS), "none": ()}.get(metrics, tuple(name.strip() for name in metrics.split(",")))
    result = measure(
        folder,
        load_judge(weights),
        progress=_Progress(),
        dataset=dataset,
        metrics=named,
        cache=cache,
        parameters=fit,
        bootstrap=bootstrap,
    )
    if out is not None:
        write_report(result, out, shlex.join(["tuner", *sys.argv[1:]]))
        note(f"written to {out}")
    if json:
        emit_json(result)
    elif result["kind"] == "ratings":
        _print_ratings(result)
    else:
        _print_planted(result)


class _Progress:
    """How far it is: a line that is overwritten on a terminal, else a line a minute."""

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        live = sys.stderr.isatty()
        if now - self.last < (0.2 if live else 60.0) and not (live and done == total):
            return
        self.last = now
        left = (now - self.start) / done * (total - done)
        text = f"{done}/{total}, {left / 60:.0f} min left" if left > 90 else f"{done}/{total}, {left:.0f} s left"
        print(
            f"\r\x1b[K{text}" if live else text, end="" if live and done < total else "\n", file=sys.stderr, flush=True
        )


def _print_ratings(result: dict[str, Any]) -> None:
    from pixelperfect_models.evaluation.report import by_srcc, compared, title

    note(f"{result['title']}: {result['pictures']} rated pictures of {result['references']} references")
    columns = ("method", "SRCC", "95 % low", "95 % high", "KRCC", "PLCC", "RMSE", "types", "contents", "judge ahead")
    keys = ("srcc", "low", "high", "krcc", "plcc", "rmse", "mean_type_srcc", "mean_content_srcc")
    rows = []
    for name in by_srcc(result):
        row, lead = result["overall"][name], result["lead"].get(name)
        known = lead is not None and math.isfinite(lead["srcc"])
        ahead = f"{lead['srcc']:+.3f} ({lead['interval'][0]:+.3f}, {lead['interval'][1]:+.3f})" if known else ""
        rows.append((title(name), *(_round(row[key]) for key in keys), ahead))
    table(columns, rows)
    for name, row in result["overall"].items():
        if row["note"]:
            note(f"{title(name)}: {row['note']}")
    methods = compared(result)
    for key, what in (("types", "type"), ("contents", "content")):
        groups = result[key].items()
        print()
        table(
            (what, *(f"SRCC {title(name)}" for name in methods)),
            [(group, *(_round(row[name]["srcc"]) for name in methods)) for group, row in groups],
        )


def _round(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _print_planted(result: dict[str, Any]) -> None:
    note(f"{result['pairs']} pairs")
    rows: list[tuple[Any, ...]] = [("all types", result["top1"], result["auc"], None)]
    for kind, row in result["types"].items():
        leakage = sorted(row["leakage"].items(), key=lambda item: -item[1])[:3]
        rows.append((kind, row["top1"], row["auc"], ", ".join(f"{name} {share:.2f}" for name, share in leakage)))
    table(("type", "top1", "AUC", "strongest maps inside"), rows)
