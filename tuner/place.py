"""Where a run is: its folder, and its study in the folder or on a server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner import journal, run_folder
from tuner.storage import STUDY_FILE, Store, open_store
from tuner.study import RunStudy


class Place:
    """Finds or makes a run's folder and study.

    Args:
        name: of the recipe.
        out_dir, storage, study_name: as :func:`tuner.runner.run` takes them.

    Attributes:
        folder: the run's folder, absolute; there once the study was created or resumed.
        url: the server's URL; None where the study is in the folder.
    """

    folder: Path

    def __init__(self, name: str, out_dir: str | Path | None, storage: str | None, study_name: str | None) -> None:
        self._name = name
        self._out_dir = out_dir
        self.url = storage
        self._study_name = study_name
        self._store: Store | None = None

    def connect(self) -> None:
        """Reach the server, if there is one. Raises UserError when it cannot be reached."""
        if self.url is not None:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            self._store = open_store(self.url, self._study_name or f"{run_folder.safe_name(self._name)}-{stamp}")

    def create(self, recipe: Mapping[str, Any]) -> RunStudy:
        """A new run. Raises UserError for a folder or study that is there already."""
        self.folder = run_folder.new_folder(self._name, self._out_dir)
        if self._store is None:
            return RunStudy.create(self.folder, recipe)
        run_folder.write_storage(self.folder, self._store)
        return RunStudy.create(self._store, recipe)

    def resume(self, recipe: Mapping[str, Any]) -> RunStudy:
        """The run that is there. A study on a server may be gone on with from a new folder, on another machine.

        Raises:
            UserError: there is none, or it cannot be gone on with.
        """
        if self.url is not None and self._study_name is not None:
            self.folder = Path(self._out_dir or Path("runs") / run_folder.safe_name(self._study_name)).absolute()
            self.folder.mkdir(parents=True, exist_ok=True)
        else:
            self.folder = run_folder.existing_folder(self._name, self._out_dir)
            noted = run_folder.read_storage(self.folder)
            if noted is None:
                self.url = None
                return RunStudy.resume(self.folder, recipe)
            self.url, self._study_name = self.url or noted[0], noted[1]
        self.connect()
        assert self._store is not None
        run_folder.write_storage(self.folder, self._store)
        return RunStudy.resume(self._store, recipe)

    def keep_copy(self, study: RunStudy) -> None:
        """Copy a server's study into the folder, so that the folder tells all without the server."""
        if self._store is not None:
            journal.copy(study.study, self.folder / STUDY_FILE)
