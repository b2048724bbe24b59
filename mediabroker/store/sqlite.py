"""SQLite: the embedded default, for the processes of one machine.

It runs in WAL mode with `synchronous=FULL`, so that a commit survives the loss of power, and every writer begins with
`BEGIN IMMEDIATE`, so that no transaction has to upgrade a read lock and fail half-way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from mediabroker.errors import ConfigurationError, StoreError

__all__ = ["is_busy", "open_engine"]


def open_engine(url: URL, *, busy_timeout_s: float) -> Engine:
    """The engine for a file, whose folder is made where needed."""
    if not url.database or url.database == ":memory:":
        raise ConfigurationError(
            f"store: {url.render_as_string()!r} names no file; use sqlite:////absolute/path/jobs.db"
        )
    _make_folder(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def is_busy(error: DBAPIError) -> bool:
    """Whether somebody else kept the write lock for too long."""
    return "locked" in str(error.orig) or "busy" in str(error.orig)


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the store's folder {path.parent} cannot be made: {error.strerror}") from error


def _configure(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself: `_begin` decides which kind.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writer = connection.get_execution_options().get("writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")
