"""SQLite: the embedded default, for the processes of one machine.

It runs in WAL mode with `synchronous=FULL`, so that a commit survives the loss of power, and every writer begins with
`BEGIN IMMEDIATE`, so that no transaction has to upgrade a read lock and fail half-way.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from datetime import datetime, timezone
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from mediabroker.errors import ConfigurationError, StoreError

__all__ = ["is_busy", "open_engine", "time"]

_log = logging.getLogger(__name__)


def open_engine(url: URL, *, busy_timeout_s: float) -> Engine:
    """The engine for a file, whose folder is made where needed."""
    path = _path_of(url)
    _make_folder(path)
    _keep_private(path)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s})
    event.listen(engine, "connect", lambda connection, _: _configure(connection, busy_timeout_s))
    event.listen(engine, "begin", _begin)
    return engine


def is_busy(error: DBAPIError) -> bool:
    """Whether somebody else kept the write lock for too long."""
    return "locked" in str(error.orig) or "busy" in str(error.orig)


def _path_of(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError(
            f"store: 'sqlite:///{url.database or ''}' names no file; use sqlite:////absolute/path/jobs.db"
        )
    path = Path(url.database)
    if url.host or not path.is_absolute():
        # Another process, or the same one tomorrow, would look for its jobs in another file.
        meant = Path(url.host or "", path).absolute()
        raise ConfigurationError(
            f"store: {str(path)!r} depends on where the program is started; write it out, with four slashes: "
            f"sqlite:///{meant}"
        )
    return path


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store's folder {path.parent} cannot be made: {error.strerror}") from error


def _keep_private(path: Path) -> None:
    """Make the file readable for its owner alone; SQLite gives the files beside it the same mode."""
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return  # the engine's own refusal says more
    try:
        if (mode := os.fstat(number).st_mode) & stat.S_IRWXO:
            os.fchmod(number, stat.S_IMODE(mode) & ~stat.S_IRWXO)
            _log.warning("%s could be read by every user of this machine; its mode was tightened", path)
    except PermissionError:
        _log.warning("%s can be read by every user of this machine and belongs to another one; chmod o= it", path)
    finally:
        os.close(number)


def _configure(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    # The driver must not begin transactions by itself: `_begin` decides which kind.
    connection.isolation_level = None
    # Who comes while another one switches a new file to WAL is refused at once, whatever the timeout.
    switching = retry(
        retry=retry_if_exception(_is_locked),
        stop=stop_after_delay(busy_timeout_s),
        wait=wait_random(0.001, 0.05),
        reraise=True,
    )
    switching(connection.execute)("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def _begin(connection: Connection) -> None:
    writer = connection.get_execution_options().get("writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


def time(engine: Engine) -> datetime:
    """Return the time that the file system gives to a write: that of the machine, whatever this process takes it for.

    Raises:
        StoreError: the file is gone or belongs to another user.
    """
    path = Path(str(engine.url.database))
    try:
        os.utime(path)
        return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    except OSError as error:
        raise StoreError(f"{path}: its time cannot be read: {error.strerror}") from error
