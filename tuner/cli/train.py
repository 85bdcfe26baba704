"""``tuner train``: making the two networks of the judge from folders of photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.output import note
from tuner.cli.session import use_all_cores

app = typer.Typer(
    help="Train one of the judge's two networks, on photos without any human label.", no_args_is_help=True
)

_Config = Annotated[str, typer.Argument(metavar="CONFIG", help="A shipped configuration's name, or a YAML file.")]
_Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Where checkpoint and weights go. Default: trained/CONFIG here."),
]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in that folder.")]
_Photos = Annotated[
    list[Path] | None,
    typer.Option("--photos", metavar="DIR", help="Folder of pristine photos, once or more. Default: CONFIG's own."),
]


@app.command()
def distortion(config: _Config, out: _Out = None, resume: _Resume = False, photos: _Photos = None) -> None:
    """Train the distortion network: which artefact, how much and where."""
    from pixelperfect_models.training import train_distortion

    use_all_cores()
    note(f"weights: {train_distortion(config, _folder(config, out), photos=photos or None, resume=resume)}")


@app.command()
def score(config: _Config, out: _Out = None, resume: _Resume = False, photos: _Photos = None) -> None:
    """Train the scoring network, on top of the distortion network in the same folder."""
    from pixelperfect_models.training import train_score

    use_all_cores()
    note(f"weights: {train_score(config, _folder(config, out), photos=photos or None, resume=resume)}")


def _folder(config: str, out: Path | None) -> Path:
    return Path("trained") / Path(config).stem if out is None else out
