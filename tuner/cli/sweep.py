"""``tuner sweep``: how the objective and every map statistic follow each parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.output import facts, note
from tuner.cli.session import use_all_cores


def sweep(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY.PATH=VALUE", help="Change a key of the recipe; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="The run's folder. Default: runs/NAME-DATE-TIME.")
    ] = None,
    points: Annotated[
        int | None, typer.Option(min=2, help="Values for each parameter. Default: the recipe's, or 9.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Sweep every searched parameter over its range, and the recipe's pairs over grids, and plot what follows.

    Any recipe will do: a search of another strategy is replaced by a sweep of its parameters.
    """
    from tuner.recipe_file import load_recipe
    from tuner.recipe_search import SweepSearch
    from tuner.report import write_report
    from tuner.report.sweep_page import PAGE
    from tuner.runner import run

    use_all_cores()
    loaded = load_recipe(recipe, overrides or ())
    search = loaded.search
    if not isinstance(search, SweepSearch):
        search = SweepSearch(seed=search.seed, timeout=search.timeout)
    if points is not None:
        search = search.model_copy(update={"points": points})
    loaded = loaded.copy_with(search=search)
    try:
        result = run(loaded, out, resume, quiet=quiet)
    except KeyboardInterrupt:
        note("go on with the same command and --resume")
        raise
    facts(
        [
            ("points", len(result.trials) - 1),
            ("plots", result.run_dir / PAGE),
            ("report", write_report(result.run_dir)),
        ]
    )
