"""Opens a store. The only place that knows a database dialect.

SQLite runs in WAL mode with `synchronous=FULL`, so that a commit survives the loss of power, and every writer begins
with `BEGIN IMMEDIATE`, so that no transaction has to upgrade a read lock and fail half-way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from mediabroker.errors import ConfigurationError, StoreBusyError, StoreError
from mediabroker.store.migrate import is_current, migrate
from mediabroker.store.turns import Turns

__all__ = ["Store", "open_store"]


class Store:
    """Transactions on one database; safe to share between threads, reopened after a fork."""

    def __init__(self, engine: Engine, url: str, *, busy_timeout_s: float) -> None:
        self._engine = engine
        self._pid = os.getpid()
        self._turns = Turns()
        self._busy_timeout_s = busy_timeout_s
        self.url = url

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot; it never waits for a writer."""
        with self._transaction(writer=False) as tx:
            yield tx

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """The write lock from the first statement on; committed and flushed when the block ends, else rolled back.

        Raises:
            StoreBusyError: others kept the write lock for longer than `busy_timeout_s`.
            StoreError: the disk is full, the file is damaged, or it cannot be written.
        """
        self._notice_fork()
        turns = self._turns
        if not turns.acquire(self._busy_timeout_s):
            raise StoreBusyError(f"other threads of this process keep the write lock of {self.url}")
        try:
            with self._transaction(writer=True) as tx:
                yield tx
        finally:
            turns.release()

    @contextmanager
    def _transaction(self, *, writer: bool) -> Iterator[Connection]:
        self._notice_fork()
        with _typed_errors(self.url), self._engine.connect() as connection:
            connection.execution_options(writer=writer)
            with connection.begin():
                yield connection

    def _notice_fork(self) -> None:
        if os.getpid() != self._pid:
            # A forked child must not touch its parent's handles, not even to close them, nor wait for its threads.
            self._engine.dispose(close=False)
            self._turns = Turns()
            self._pid = os.getpid()

    def close(self) -> None:
        self._engine.dispose()


def open_store(url: str, *, busy_timeout_s: float = 10.0) -> Store:
    """The store at `url`, created or migrated where needed.

    Raises:
        ConfigurationError: not a store URL that this release opens.
        StoreError: the folder or file cannot be used, or was written by a newer release.
    """
    parsed = _parse(url)
    _make_folder(parsed)
    engine = create_engine(parsed, connect_args={"timeout": busy_timeout_s})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    store = Store(engine, url, busy_timeout_s=busy_timeout_s)
    with store.read() as tx:
        current = is_current(tx)
    if not current:
        with store.write() as tx:
            migrate(tx)
    return store


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationError(f"store: {url!r} is not a URL such as sqlite:////path/jobs.db") from error
    if parsed.drivername != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError(
            f"store: {parsed.render_as_string()!r} cannot be opened; use sqlite:////absolute/path/jobs.db"
        )
    return parsed


def _make_folder(parsed: URL) -> None:
    path = Path(str(parsed.database))
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


@contextmanager
def _typed_errors(url: str) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if "locked" in str(error.orig) or "busy" in str(error.orig):
            raise StoreBusyError(f"another process holds the write lock of {url}") from error
        raise StoreError(f"{url}: {error.orig}") from error
    except DatabaseError as error:
        raise StoreError(f"{url}: {error.orig}") from error
