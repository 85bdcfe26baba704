"""``tuner report`` and ``tuner export``: what a run has found."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pixelperfect_models.errors import UserError
from tuner.cli.output import note
from tuner.cli.run_dir import RunDir, read_best


def report(run_dir: RunDir) -> None:
    """Write the run's report, one HTML file that needs nothing else: RUN/report.html."""
    from tuner.report import write_report

    note(f"report: {write_report(run_dir)}")


class Format(StrEnum):
    """How parameters are written."""

    yaml = "yaml"
    json = "json"


def export(
    run_dir: RunDir,
    form: Annotated[Format | None, typer.Option("--format", "-f", help="Default: by --out's ending.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: standard output.")] = None,
) -> None:
    """Print a run's best parameters, fixed and searched, as YAML or JSON."""
    import json

    import yaml

    _, _, parameters = read_best(run_dir)
    if form is None:
        form = Format.json if out is not None and out.suffix.lower() == ".json" else Format.yaml
    if form is Format.json:
        text = json.dumps(parameters, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml.safe_dump(parameters, sort_keys=False, allow_unicode=True)
    if out is None:
        print(text, end="")
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    note(f"parameters: {out}")
