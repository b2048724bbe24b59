"""Opens a store: transactions on one database, whichever it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError

from mediabroker.errors import ConfigurationError, StoreBusyError, StoreError
from mediabroker.store import postgresql, sqlite
from mediabroker.store.migrate import is_current, migrate
from mediabroker.store.turns import Turns

__all__ = ["Store", "open_store"]


class _Database(Protocol):
    """What differs from one database to the other: a module each."""

    def open_engine(self, url: URL, *, busy_timeout_s: float) -> Engine: ...

    def is_busy(self, error: DBAPIError) -> bool: ...


_DATABASES: Mapping[str, _Database] = {"sqlite": sqlite, "postgresql": postgresql}


class Store:
    """Transactions on one database; safe to share between threads, reopened after a fork. `url` is without password."""

    def __init__(self, database: _Database, url: URL, *, busy_timeout_s: float) -> None:
        self._database = database
        self._engine = database.open_engine(url, busy_timeout_s=busy_timeout_s)
        self._pid = os.getpid()
        self._turns = Turns()
        self._busy_timeout_s = busy_timeout_s
        self.url = url.render_as_string(hide_password=True)

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
        with self._typed_errors(), self._engine.connect() as connection:
            connection.execution_options(writer=writer)
            with connection.begin():
                yield connection

    def _notice_fork(self) -> None:
        if os.getpid() != self._pid:
            # A forked child must not touch its parent's handles, not even to close them, nor wait for its threads.
            self._engine.dispose(close=False)
            self._turns = Turns()
            self._pid = os.getpid()

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            if self._database.is_busy(error):
                raise StoreBusyError(f"another process holds the write lock of {self.url}") from error
            raise StoreError(f"{self.url}: {error.orig}") from error

    def close(self) -> None:
        self._engine.dispose()


def open_store(url: str, *, busy_timeout_s: float = 10.0) -> Store:
    """The store at `url`, created or migrated where needed.

    Raises:
        ConfigurationError: not a store URL that this release opens; `MissingDependencyError` where a driver is missing.
        StoreError: the database cannot be used, or was written by a newer release.
    """
    parsed, database = _parse(url)
    store = Store(database, parsed, busy_timeout_s=busy_timeout_s)
    try:
        with store.read() as tx:
            current = is_current(tx)
        if not current:
            with store.write() as tx:
                migrate(tx)
    except BaseException:
        store.close()
        raise
    return store


def _parse(url: str) -> tuple[URL, _Database]:
    try:
        parsed = make_url(url)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationError(f"store: {url!r} is not a URL such as sqlite:////path/jobs.db") from error
    if parsed.drivername not in _DATABASES:
        raise ConfigurationError(
            f"store: {parsed.render_as_string()!r} cannot be opened; use sqlite:////absolute/path/jobs.db or "
            "postgresql://user@host/database"
        )
    return parsed, _DATABASES[parsed.drivername]
