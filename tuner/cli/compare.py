"""``tuner compare``, ``tuner score`` and ``tuner rank``: the judge asked about pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.output import emit_json, facts, note, table
from tuner.cli.session import Json, Weights, load_judge


def compare(
    test: Annotated[Path, typer.Argument(metavar="TEST", help="The picture judged.")],
    ref: Annotated[Path, typer.Argument(metavar="REF", help="What it is judged against; need not be pristine.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PNG", help="Where the maps go. Default: TEST_vs_REF.png here; none with --json."
        ),
    ] = None,
    json: Json = False,
    weights: Weights = None,
) -> None:
    """Say which of two pictures looks better, and of which artefacts TEST has more than REF, and where.

    Prints the score (positive: TEST looks better) and a line for each distortion type, in intensity units from -1
    (REF has much more of it) to 1 (TEST has); writes all maps as one picture.
    """
    from pixelperfect_models.images import write_image
    from tuner.compare import compare as compare_files

    result = compare_files(test, ref, load_judge(weights))
    if out is None and not json:
        out = Path(f"{test.stem}_vs_{ref.stem}.png")
    if out is not None:
        write_image(out, result.picture())
    if json:
        emit_json({**result.as_dict(), "maps": None if out is None else str(out)})
        return
    data = result.as_dict()
    verdict = {"alike": "alike", "test": f"{test} looks better", "reference": f"{ref} looks better"}[data["better"]]
    facts([("score", f"{result.score:+.4f}", verdict)])
    rows = []
    for row in result.rows:
        worst = row.worst
        where = f"{worst.width}x{worst.height}+{worst.left}+{worst.top}" if worst else None
        rows.append((row.type, *(f"{value:+.4f}" for value in (row.mean, row.p95, row.max, row.min)), where))
    table(("type", "mean", "p95", "max", "min", "worst region"), rows)
    note(f"maps: {out}")


def score(
    tests: Annotated[list[Path], typer.Argument(metavar="TEST...", help="The pictures judged.")],
    ref: Annotated[Path, typer.Option("--ref", "-r", metavar="REF", help="What they are judged against.")],
    json: Json = False,
    weights: Weights = None,
) -> None:
    """Print one score for each picture: positive where it looks better than REF, negative where worse."""
    import torch

    from pixelperfect_models.images import read_image
    from tuner.compare import require_same_size

    reference = read_image(ref)
    for test in tests:  # all are looked at before the first is judged, so that nothing is judged in vain
        require_same_size({str(ref): reference, str(test): read_image(test)})
    judge = load_judge(weights)
    with torch.no_grad():
        state = judge.prepare(reference)
        scores = [float(judge.score(read_image(test), state)[0]) for test in tests]
    if json:
        results = [{"test": str(test), "score": round(value, 6)} for test, value in zip(tests, scores, strict=True)]
        emit_json({"reference": str(ref), "scores": results})
        return
    table(("picture", "score"), [(str(test), value) for test, value in zip(tests, scores, strict=True)])


def rank(
    pictures: Annotated[list[Path], typer.Argument(metavar="A B C...", help="Versions of one picture.")],
    ref: Annotated[
        Path | None,
        typer.Option("--ref", "-r", metavar="REF", help="Judge each against this one, not against each other."),
    ] = None,
    json: Json = False,
    weights: Weights = None,
) -> None:
    """Rank several versions of one picture, best first, with or without a reference.

    Without one, all pairs are compared and put on one scale (Bradley-Terry).
    """
    from tuner.rank import rank as rank_files

    result = rank_files(pictures, load_judge(weights), ref)
    if json:
        emit_json(result.as_dict())
        return
    rows = [(row.place, row.name, row.strength, row.error) for row in result.rows]
    table(("place", "picture", "strength", "standard error"), rows, title=result.method)
    for cycle in result.cycles:
        note(f"the judge contradicts itself: {' > '.join((*cycle, cycle[0]))}")
