"""Where a study lives: a run's folder, a database, or Optuna's gRPC proxy before one; all behind one object."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import GrpcStorageProxy, RDBStorage, _CachedStorage
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
)

from pixelperfect_models.errors import PixelPerfectError, UserError
from tuner import interrupts, journal
from tuner.journal import STUDY_FILE as STUDY_FILE
from tuner.journal import STUDY_NAME as STUDY_NAME
from tuner.liveness import BEAT, Heartbeats, Liveness, LockFiles

PATIENCE = 300.0
"""Seconds that a server may be away (a restart, a network that fails) before a worker gives up."""
_ATTEMPTS = 10
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_GRPC = "grpc://"


class StorageError(PixelPerfectError):
    """The storage did not come back in time."""


@dataclass(frozen=True)
class Store:
    """A study's place.

    Attributes:
        storage: Optuna's storage.
        study_name: the study's name in it.
        shown: the place for messages and files: a folder, or a URL without its password.
        folder: the run's folder where the study lives in one, else None.
    """

    storage: Any
    study_name: str
    shown: str
    folder: Path | None = None

    def liveness(self) -> Liveness:
        """A new worker's sign of life in this store."""
        if self.folder is not None:
            return LockFiles(self.folder)
        life = Heartbeats(lambda trial, number: self.storage.set_trial_system_attr(trial, BEAT, number))
        if isinstance(self.storage, _CachedStorage):
            self.storage._backend.on_failure = life.forget
        elif isinstance(self.storage, Patient):
            self.storage.on_failure = life.forget
        return life

    def grouped(self) -> AbstractContextManager[None]:
        """Within, attributes of a trial are written with its state, all or nothing, where the storage can."""
        return self.storage._backend.grouped() if self.folder is not None else nullcontext()

    def gathered(self) -> AbstractContextManager[None]:
        """Within, a trial's parameters are written as one, where the storage can."""
        return self.storage._backend.gathered() if self.folder is not None else nullcontext()

    def trials(self, study: optuna.Study) -> Sequence[FrozenTrial]:
        """All trials of the study, by number, not to be changed; where the storage can, without making a list."""
        if self.folder is not None:
            trials: Sequence[FrozenTrial] = self.storage.trials(study._study_id)
            return trials
        return study.get_trials(deepcopy=False)  # type: ignore[no-any-return]

    def exists(self) -> bool:
        """True when the study is there."""
        return self.study_name in optuna.get_all_study_names(self.storage)

    def load(self) -> optuna.Study:
        """The study, which is there."""
        return optuna.load_study(storage=self.storage, study_name=self.study_name)


def open_store(where: str | Path, study_name: str | None = None) -> Store:
    """The store at a URL or in a run's folder.

    Args:
        where: ``postgresql://``, ``sqlite://`` or any other URL that SQLAlchemy has a driver for, ``grpc://host:port``
            for Optuna's proxy, or a run's folder.
        study_name: needed for a URL.

    Raises:
        UserError: the URL is wrong, its driver is not installed, or nobody answers.
    """
    text = str(where)
    if "://" not in text:
        folder = Path(where)
        try:
            return Store(journal.storage(folder / STUDY_FILE), STUDY_NAME, str(folder), folder)
        except ValueError as error:  # Optuna's journal, or JSON in it
            raise UserError(f"{folder / STUDY_FILE}: cannot be read as a study ({error})") from None
    if study_name is None:
        raise UserError(f"{without_password(text)}: --study is missing, expected the study's name beside a URL")
    return Store(connect(text), study_name, without_password(text))


def connect(url: str) -> Any:
    """Optuna's storage at a URL; from now on its calls wait up to :data:`PATIENCE` while the server is away.

    Raises:
        UserError: as :func:`open_store`.
    """
    shown = without_password(url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if url.startswith(_GRPC):
            return _proxy(url)
    try:
        storage = _database(url)
    except ImportError as error:
        driver = error.__cause__ or error
        raise UserError(
            f"{shown}: its database driver is not installed ({driver}); for PostgreSQL: "
            "pip install 'pixel-perfect-tuner[cluster]'"
        ) from None
    except (ArgumentError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise UserError(f"{shown}: not a storage's URL ({error}), expected postgresql://user@host/database") from None
    except (DBAPIError, StorageInternalError) as error:
        reason = " ".join(str(error.__cause__ or error).split()).split(" (Background")[0]
        raise UserError(f"{shown}: cannot be reached ({reason})") from None
    except RuntimeError as error:  # Optuna's tables are another version's
        raise UserError(f"{shown}: {error}") from None
    if url.startswith("sqlite"):
        with storage.engine.connect() as connection:  # kept in the file: readers and a writer do not wait for another
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return _CachedStorage(Patient(storage, shown))


def _database(url: str) -> RDBStorage:
    """Optuna's storage in a database. Its first user makes the tables; of several at once all but one would fail."""
    for attempt in range(_ATTEMPTS):
        try:
            return RDBStorage(full_url(url), engine_kwargs=_engine_options(url))
        except (DBAPIError, StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            another = isinstance(cause, IntegrityError) or "already exists" in str(cause)
            if not another or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.1, 0.5))
    raise AssertionError("unreachable")


def full_url(url: str) -> str:
    """The URL with the driver that this project installs, where it names none."""
    scheme, rest = url.split("://", 1)
    return f"{_DRIVERS.get(scheme, scheme)}://{rest}"


def without_password(url: str) -> str:
    """The URL as it may be shown and written down."""
    if url.startswith(_GRPC):
        return url
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url.split("://", 1)[0] + "://..."
    without = URL.create(
        parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database, parsed.query
    )
    return without.render_as_string()


class Patient:
    """A storage whose calls are repeated while its server is away.

    All of Optuna's calls may be repeated: a parameter or attribute written twice is the same, a trial created twice
    leaves one that nobody evaluates, which is found lost.
    """

    def __init__(self, storage: Any, shown: str, patience: float | None = None) -> None:
        self._storage = storage
        self._shown = shown
        self._patience = PATIENCE if patience is None else patience
        self.on_failure: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._storage, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._call(attribute, *args, **kwargs)

        return call

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        begun, wait = time.monotonic(), 0.1
        while True:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if not _is_away(error):
                    raise
                self.on_failure()
                if time.monotonic() - begun > self._patience or interrupts.pending():
                    reason = " ".join(str(error.__cause__ or error).split()).split(" (Background")[0]
                    raise StorageError(f"{self._shown}: lost, and not back in time ({reason})") from error
                time.sleep(wait)
                wait = min(2 * wait, 5.0)


def _is_away(error: BaseException) -> bool:
    """True for an error of the connection, not of what was asked."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, PendingRollbackError):  # the connection was lost in a read that Optuna then tried another way
        return True
    if isinstance(error, DBAPIError):
        return isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated
    try:
        import grpc
    except ImportError:
        return False
    # UNKNOWN is what the proxy answers when its own database is away.
    away = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)
    return isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call) and error.code() in away


def _engine_options(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 60}}
    # Asked before use, since the server may have been restarted.
    return {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2}


def _proxy(url: str) -> Patient:
    host, _, port = url.removeprefix(_GRPC).rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"{url}: not a proxy's address, expected grpc://host:port")
    try:
        proxy = GrpcStorageProxy(host=host, port=int(port))
        proxy.wait_server_ready(timeout=20)
    except ImportError as error:
        raise UserError(f"{url}: gRPC is not installed ({error}); pip install 'pixel-perfect-tuner[cluster]'") from None
    except ConnectionError:
        raise UserError(f"{url}: nobody answers, expected a proxy there (tuner storage-proxy)") from None
    return Patient(proxy, url)
