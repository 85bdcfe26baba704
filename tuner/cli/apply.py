"""``tuner apply``: the best parameters of a run on other pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pixelperfect_models.errors import UserError
from tuner.cli.output import table
from tuner.cli.run_dir import RunDir, read_best
from tuner.cli.session import use_all_cores


class Bits(StrEnum):
    """Depths of the PNG files."""

    eight = "8"
    sixteen = "16"


def apply(
    run_dir: RunDir,
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Pictures of any size.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Where the outputs go. Default: RUN/applied."),
    ] = None,
    bits: Annotated[
        Bits | None,
        typer.Option(
            "--bits",
            help="Of the PNG files, per colour. Default: 8; 16 where the pipeline's output_bits are more than 8.",
        ),
    ] = None,
) -> None:
    """Run the pipeline with a run's best parameters on other pictures, at their full size, and write PNG files."""
    import pipelines
    from pixelperfect_models.images import write_image
    from tuner.recipe_images import unique_names

    name, options, parameters = read_best(run_dir)
    pipeline = pipelines.load(name, options)
    pipeline.resolve(parameters)  # refused before the first picture, not after
    depth = pipeline.file_bits if bits is None else int(bits)
    folder = run_dir / "applied" if out is None else out
    outputs = [folder / f"{stem}.png" for stem in unique_names(inputs)]
    for path, output in zip(inputs, outputs, strict=True):
        pipeline.input.read(path)
        if output.resolve() == path.resolve():
            raise UserError(f"{path}: would be overwritten by its output; choose another folder with --out")
    use_all_cores()
    rows = []
    for path, output in zip(inputs, outputs, strict=True):
        result = pipeline.run(pipeline.input.read(path), parameters)
        write_image(output, result.image, bits=depth)
        rows.append((str(path), str(output), result.measures["seconds"]))
    table(("input", "output", "seconds"), rows)
