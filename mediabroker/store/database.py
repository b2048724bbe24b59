"""Opens a store: transactions on one database, whichever it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection, Engine, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, SQLAlchemyError

from mediabroker.errors import ConfigurationError, StoreBusyError, StoreError
from mediabroker.redaction import keep_secret
from mediabroker.store import postgresql, sqlite
from mediabroker.store.migrate import is_current, migrate
from mediabroker.store.schema import schema_info
from mediabroker.store.turns import Turns

__all__ = ["Store", "open_store"]


class _Database(Protocol):
    """What differs from one database to the other: a module each."""

    def open_engine(self, url: URL, *, busy_timeout_s: float) -> Engine: ...

    def is_busy(self, error: DBAPIError) -> bool: ...

    def time(self, engine: Engine) -> datetime: ...


_DATABASES: Mapping[str, _Database] = {"sqlite": sqlite, "postgresql": postgresql}
_FORMS = "sqlite:////absolute/path/jobs.db or postgresql://user@host:5432/database"
_SCHEME = re.compile(r"[a-z][a-z0-9+]*(?=://?)")
_SECRET = re.compile("password|secret", re.IGNORECASE)


class Store:
    """Transactions on one database; safe to share between threads, reopened after a fork.

    `url` is for messages: it has scheme, host, port and database, and nothing that could hold a password.
    """

    def __init__(self, database: _Database, url: URL, *, busy_timeout_s: float) -> None:
        self._database = database
        self._engine = database.open_engine(url, busy_timeout_s=busy_timeout_s)
        self._pid = os.getpid()
        self._turns = Turns()
        self._busy_timeout_s = busy_timeout_s
        self._secrets = _secrets_of(url)
        for secret in self._secrets:
            keep_secret(secret)
        self.url = _shown(url)
        self.token_key = b""
        """The store's own secret, under which tokens are made."""

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

    def time(self) -> datetime:
        """Return the time of the database server, or of the file system that holds the store; aware UTC.

        Raises:
            StoreError: the store does not answer.
        """
        self._notice_fork()
        with self._typed_errors():
            return self._database.time(self._engine)

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
            said = str(error.orig)
            told = self._without_secrets(said)
            # A traceback shows the driver's own words as well.
            raise StoreError(f"{self.url}: {told}") from (error if told == said else None)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

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
        with store.read() as tx:
            store.token_key = bytes.fromhex(tx.execute(select(schema_info.c.token_key)).scalar_one())
    except BaseException:
        store.close()
        raise
    return store


def _parse(url: str) -> tuple[URL, _Database]:
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):  # it may quote the URL, any part of which may be the password
        raise ConfigurationError(_unreadable(url, "cannot be read")) from None
    if _is_torn(url, parsed):
        raise ConfigurationError(_unreadable(url, "holds an @ in user, password or database; write it as %40"))
    if parsed.drivername not in _DATABASES:
        raise ConfigurationError(f"store: {_shown(parsed)!r} cannot be opened; use {_FORMS}")
    return parsed, _DATABASES[parsed.drivername]


def _unreadable(url: str, why: str) -> str:
    scheme = _SCHEME.match(url)
    which = f"the URL with the scheme {scheme.group()!r}" if scheme else "the URL"
    return f"store: {which} {why}; use {_FORMS} (it is not shown here, for it may hold a password)"


def _is_torn(url: str, parsed: URL) -> bool:
    """Whether a password with an @ in it was read as if its rest were the host or the database."""
    in_database = parsed.drivername != "sqlite" and "@" in (parsed.database or "") and "%40" not in url
    return in_database or "@" in (parsed.host or "")


def _shown(url: URL) -> str:
    """The URL for messages: neither user nor query, for a query may hold a password too."""
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def _secrets_of(url: URL) -> list[str]:
    """What no message may repeat, the longest first."""
    named = [value for name, values in url.normalized_query.items() if _SECRET.search(name) for value in values]
    return sorted({str(each) for each in (url.password, *named) if each}, key=len, reverse=True)
