"""``tuner dashboard``: Optuna's dashboard on a run."""

from __future__ import annotations

import threading
import webbrowser
from typing import Annotated

import typer

from pixelperfect_models.errors import UserError
from tuner.cli.output import note
from tuner.cli.run_dir import RunDir


def dashboard(
    run_dir: RunDir,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 8080,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
) -> None:
    """Open the Optuna dashboard on a run, also while it is under way, until Ctrl-C. On this machine only."""
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise UserError(
            f"the dashboard is not installed ({error}); pip install 'pixel-perfect-tuner[dashboard]'"
        ) from None
    from wsgiref.simple_server import make_server

    from tuner.run_folder import read_storage
    from tuner.storage import STUDY_FILE, open_store

    if not run_dir.is_dir():
        raise UserError(f"{run_dir}: no such run folder")
    noted = read_storage(run_dir)
    if noted is None and not (run_dir / STUDY_FILE).is_file():
        raise UserError(f"{run_dir}: not a run folder, it has no {STUDY_FILE}")
    store = open_store(run_dir) if noted is None else open_store(*noted)
    try:
        server = make_server("127.0.0.1", port, wsgi(store.storage))
    except OSError as error:
        raise UserError(f"--port: {port} cannot be used ({error.strerror}), choose another") from None
    with server:
        address = f"http://127.0.0.1:{server.server_port}/dashboard"
        note(f"dashboard: {address} (Ctrl-C ends it)")
        if browser:
            threading.Timer(0.5, webbrowser.open, (address,)).start()
        server.serve_forever()
