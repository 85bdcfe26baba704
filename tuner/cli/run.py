"""``tuner run`` and ``tuner check``: searching, and looking before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuner.cli.output import facts, note, table
from tuner.cli.session import use_all_cores

if TYPE_CHECKING:
    from tuner.recipe import Recipe

_Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY.PATH=VALUE", help="Change a key of the recipe; may be given repeatedly."),
]


def run(
    recipe: _Recipe,
    overrides: _Set = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="The run's folder. Default: runs/NAME-DATE-TIME here."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, or with the newest of this name.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for every event on standard output, and no other progress.")
    ] = False,
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=1, help="Processes on this machine that evaluate.")
    ] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage",
            metavar="URL",
            envvar="TUNER_STORAGE",
            help="Server that keeps the study, for workers on other machines: postgresql://user@host/database, "
            "grpc://host:port, sqlite:///file. Default: the run's folder.",
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", metavar="NAME", help="The study's name there. Default: recipe and time.")
    ] = None,
) -> None:
    """Search for the parameters that look best, as a recipe says.

    The run's folder keeps every trial, the best parameters, pictures and a report. A stopped run (Ctrl-C) goes on
    with --resume.
    """
    from tuner.events import EventLines
    from tuner.recipe_file import load_recipe
    from tuner.report import write_report
    from tuner.runner import RunFailed
    from tuner.runner import run as search

    use_all_cores()
    loaded = load_recipe(recipe, overrides or ())
    events = EventLines(sys.stdout) if json else None
    try:
        result = search(
            loaded,
            out,
            resume,
            quiet=quiet or json,
            events=events,
            workers=workers,
            storage=storage,
            study_name=study,
        )
    except KeyboardInterrupt:
        if events is not None:
            events.stopped()
        note("go on with the same command and --resume")
        raise
    except RunFailed as error:
        if events is not None:
            events.failed(str(error))
        raise
    if events is not None:
        events.finished(result.run_dir, write_report(result.run_dir))
        return
    before = result.start["parameters"]
    rows = [(name, before.get(name), value) for name, value in result.best_parameters.items()]
    table(("parameter", "start", "best"), rows)
    if result.best.get("feasible") is False:
        note("no trial keeps all constraints; the best breaks them least")
    facts(
        [
            ("objective", *(f"{record['value']:.4f}" for record in (result.start, result.best))),
            ("score", *(f"{record['score']:.4f}" for record in (result.start, result.best))),
            ("run", result.run_dir),
            ("report", write_report(result.run_dir)),
        ]
    )


def check(recipe: _Recipe, overrides: _Set = None) -> None:
    """Validate a recipe, evaluate the pipeline's defaults once, and print the plan. Writes nothing."""
    from tuner.recipe_file import load_recipe
    from tuner.runner import prepare
    from tuner.search.table import strategy

    use_all_cores()
    loaded = load_recipe(recipe, overrides or ())
    objective, space = prepare(loaded)
    search = strategy(loaded.search.strategy)
    search.check(objective, space, loaded.search)
    budget = search.budget(space, loaded.search)
    evaluation = objective.evaluate(space.full(space.defaults()))

    table(("parameter", "searched", "default"), [_dimension_row(d) for d in space.dimensions])
    print()
    lines = [*_plan(loaded), ("trials", budget)]
    lines += [("value at the defaults", f"{evaluation.value:.4f}"), ("score", f"{evaluation.score:.4f}")]
    lines += [(f"penalty {name}", f"{cost:.4f}") for name, cost in evaluation.penalties.items()]
    lines += [(f"measure {name}", value) for name, value in evaluation.measures.items()]
    lines += [
        (f"constraint {name}", "kept" if violation <= 0 else "broken")
        for name, violation in evaluation.constraints.items()
    ]
    # A gradient step walks back through pipeline and judge too, which costs about twice the way there.
    runs = {"gradient": 3, "hybrid": 3 * getattr(loaded.search, "steps", 1)}.get(loaded.search.strategy, 1)
    cost = evaluation.seconds * budget * runs
    detail = f"{evaluation.seconds:.2f} s for the evaluation above"
    if loaded.search.strategy == "train":
        detail += "; the training comes on top"
    lines.append(("expected", f"{_duration(cost)} ({detail})"))
    facts(lines)


def _plan(recipe: Recipe) -> list[tuple[Any, ...]]:
    options = recipe.search.model_dump(exclude_none=True)
    options |= {key: f"({len(options[key])} files)" for key in ("photos", "inputs") if key in options}
    search = ", ".join(f"{key} {value}" for key, value in options.items() if key != "strategy")
    reference = "reference files" if recipe.reference_kind == "files" else recipe.reference_kind
    lines: list[tuple[Any, ...]] = [
        ("pipeline", recipe.pipeline.name),
        *((f"fixed {name}", value) for name, value in recipe.pipeline.fixed.items()),
        ("search", f"{recipe.search.strategy} ({search})"),
        ("pictures", f"{len(recipe.pairs)}, judged against {reference}"),
    ]
    if recipe.images.crop is not None:
        lines.append(("crop", f"the centre {recipe.images.crop} x {recipe.images.crop} pixels"))
    for pair in recipe.pairs:
        lines.append((f"picture {pair.name}", pair.input, *([pair.reference] if pair.reference else [])))
    return lines


def _dimension_row(dimension: Any) -> tuple[str, str, Any]:
    if dimension.choices is not None:
        searched = "one of " + ", ".join(str(choice) for choice in dimension.choices)
    else:
        searched = f"{dimension.low:g} to {dimension.high:g}" + (", log" if dimension.log else "")
    return dimension.name, searched, dimension.default


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.1f} h"
