"""``tuner distort``: what the distortion engine makes of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.output import note


def distort(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A pristine photo.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PNG", help="Where the contact sheet goes.")],
) -> None:
    """Draw a contact sheet: every distortion type on PHOTO at rising severity, with its intensity map."""
    from pixelperfect_models.distortions.sheet import contact_sheet
    from pixelperfect_models.images import read_array, write_image

    write_image(out, contact_sheet(read_array(photo)))
    note(f"contact sheet: {out}")
