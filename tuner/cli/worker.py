"""``tuner worker`` and ``tuner storage-proxy``: more processes and machines on one study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixelperfect_models.errors import UserError
from tuner.cli.output import note
from tuner.cli.session import use_all_cores


def worker(
    storage: Annotated[
        str,
        typer.Argument(
            metavar="STORAGE_URL",
            envvar="TUNER_STORAGE",
            help="postgresql://user@host/database, grpc://host:port, sqlite:///file, or the folder of a run.",
        ),
    ],
    study: Annotated[str | None, typer.Option("--study", metavar="NAME", help="The study; needed for a URL.")] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Evaluate at most so many. Default: until all are done.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images",
            metavar="DIR|THERE=HERE",
            help="Where the pictures lie here: the folder that all have in common, or folder there = folder here "
            "(may be repeated). Default: where the recipe says.",
        ),
    ] = None,
    tied: Annotated[bool, typer.Option("--tied", hidden=True)] = False,
) -> None:
    """Evaluate trials of a study that `tuner run` has begun, beside its other workers, until its budget is spent.

    The recipe is in the study; the pictures must be the same. Ctrl-C gives the trial under way back.
    """
    from tuner.storage import open_store
    from tuner.worker import end_with_parent, work

    if tied:
        end_with_parent()
    use_all_cores()
    if "://" not in storage and not (Path(storage) / "study.log").is_file():
        raise UserError(f"{storage}: expected a storage's URL, or the folder of a run that keeps its study in itself")
    places = _places(images or [])
    store = open_store(storage, study)

    def ready(name: str, budget: int) -> None:
        if not tied:
            note(f"{name}: at work, {budget} trials in all")

    evaluated = work(store, places, trials, on_ready=ready)
    if not tied:
        note(f"{evaluated} trials evaluated here")


def storage_proxy(
    storage: Annotated[
        str, typer.Argument(metavar="STORAGE_URL", envvar="TUNER_STORAGE", help="The database behind the proxy.")
    ],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 13000,
) -> None:
    """Stand between many workers and a database: they take grpc://HOST:PORT as their storage.

    This is Optuna's gRPC storage proxy. It has neither password nor encryption: keep it within a private network.
    """
    import warnings

    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import run_grpc_proxy_server

    from tuner.storage import connect

    if "://" not in storage or storage.startswith("grpc://"):
        raise UserError(f"{storage}: expected the URL of a database, such as postgresql://user@host/database")
    database = connect(storage)
    note(f"proxy: grpc://{host}:{port}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            run_grpc_proxy_server(database, host=host, port=port)
        except ImportError as error:
            raise UserError(f"gRPC is not installed ({error}); pip install 'pixel-perfect-tuner[cluster]'") from None
        except RuntimeError as error:  # grpc's word for a port that is taken
            raise UserError(f"--port: {host}:{port} cannot be listened on ({error})") from None


def _places(given: list[str]) -> dict[str, str] | str | None:
    pairs = {}
    for text in given:
        there, equals, here = text.partition("=")
        if not equals:
            if len(given) > 1:
                raise UserError(f"--images: {text} beside others, expected one folder alone, or THERE=HERE each time")
            return str(Path(text).absolute())
        pairs[there.rstrip("/")] = str(Path(here).absolute())
    return pairs
