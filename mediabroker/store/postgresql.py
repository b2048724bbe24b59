"""PostgreSQL: for processes of several machines, or without a disk of their own, as functions in Lambda.

Writers take turns as SQLite's do: each begins by taking one advisory lock of the database, and keeps it to its commit.
So what all code above relies on holds here too, that nothing changes between what a transaction has read and what it
writes. The lock is handed on in the order in which it was asked for. Readers see a snapshot and wait for nobody.
"""

from __future__ import annotations

from datetime import datetime, timezone

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from mediabroker.errors import MissingDependencyError

__all__ = ["is_busy", "open_engine", "time"]

_WRITERS = 0x6D65646961  # "media": which of the database's advisory locks is the writers'
_LOCK_NOT_AVAILABLE = "55P03"
"""Source: "Appendix A. PostgreSQL Error Codes" of PostgreSQL's manual."""


def open_engine(url: URL, *, busy_timeout_s: float) -> Engine:
    """The engine for a database that exists; the schema is made in the user's default one."""
    try:
        # A connection may have died since it was last used: looked at before each use.
        engine = create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "store: PostgreSQL needs another package: pip install 'mediabroker[postgres]'"
        ) from error
    wait_ms = max(1, round(busy_timeout_s * 1000))  # 0 would be for ever
    begin_writing = (
        f"SET LOCAL lock_timeout = {wait_ms}; "
        # A server may be configured to acknowledge what is not yet on its disk.
        "SET LOCAL synchronous_commit = on; "
        f"SELECT pg_advisory_xact_lock({_WRITERS})"
    )

    def begin(connection: Connection) -> None:
        writer = connection.get_execution_options().get("writer", False)
        reading = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        connection.exec_driver_sql(begin_writing if writer else reading)

    event.listen(engine, "begin", begin)
    return engine


def is_busy(error: DBAPIError) -> bool:
    """Whether somebody else kept the write lock for too long."""
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def time(engine: Engine) -> datetime:
    """Return the server's time."""
    with engine.connect() as connection:
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(timezone.utc)
