"""Brings a store to this release's schema, in the transaction that the caller holds: old or new, never between."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Table, inspect, or_, select, update
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from mediabroker.absent import Absent
from mediabroker.errors import StoreError
from mediabroker.store.schema import (
    SCHEMA_VERSION,
    attempts,
    consumers,
    deliveries,
    inbox,
    jobs,
    members,
    metadata,
    quarantine,
    schema_info,
)

__all__ = ["is_current", "migrate"]

_VERSION = select(schema_info.c.version)


def _add_callbacks(tx: Connection) -> None:
    """1 to 2: consumers of events, what each has still to be given, and the quarantine."""
    for table in (consumers, deliveries, quarantine):
        table.create(tx)


def _add_routes_and_staging(tx: Connection) -> None:
    """2 to 3: several attempts on a route of providers, and what the broker copies for each."""
    _add_columns(tx, jobs, "transfer", "route")
    _add_columns(tx, attempts, "placement", "staged_at", "cleared_at")


def _add_limits(tx: Connection) -> None:
    """3 to 4: how long a job may take, and when its provider was asked to stop it."""
    _add_columns(tx, jobs, "deadline_at", "queue_timeout_s")
    _add_columns(tx, attempts, "queued_at", "stop_asked_at")


def _add_holds(tx: Connection) -> None:
    """4 to 5: when a held submission resumes, when a resent create is searched for again, and what a job retries."""
    _add_columns(tx, jobs, "retry_of")
    _add_columns(tx, attempts, "resume_at", "holds", "late_search_at")
    _add_columns(tx, members, "hold_reason")
    for index in (*jobs.indexes, *attempts.indexes):
        index.create(tx, checkfirst=True)


def _add_token_key(tx: Connection) -> None:
    """5 to 6: the key under which tokens are made. Attempts keep the tokens that they have."""
    _add_columns(tx, schema_info, "token_key")
    tx.execute(update(schema_info).values(token_key=secrets.token_hex(32)))


def _add_absent(tx: Connection) -> None:
    """6 to 7: why a member has no vendor job, in a column instead of in its native id."""
    _add_columns(tx, members, "absent")
    old = or_(*(members.c.native_id.startswith(each) for each in ("rejected:", "missing:", "not-mp4:", "no-name:")))
    for row in tx.execute(select(members.c.native_id).where(old).distinct()).all():
        if absent := Absent.of_old_id(row.native_id):
            fields = absent.model_dump(mode="json", exclude_none=True)
            tx.execute(update(members).where(members.c.native_id == row.native_id).values(absent=fields))


def _add_indexes(tx: Connection) -> None:
    """7 to 8: indexes without which calls grow with the store."""
    for table in (jobs, attempts, inbox, deliveries):
        for index in table.indexes:
            index.create(tx, checkfirst=True)


def _add_columns(tx: Connection, table: Table, *names: str) -> None:
    for name in names:
        column = table.c[name]
        kind = column.type.compile(tx.dialect)
        default = (
            f" NOT NULL DEFAULT {column.default.arg}" if isinstance(column.default, ScalarElementColumnDefault) else ""
        )
        tx.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}{default}")


_STEPS: Mapping[int, Callable[[Connection], None]] = {
    1: _add_callbacks,
    2: _add_routes_and_staging,
    3: _add_limits,
    4: _add_holds,
    5: _add_token_key,
    6: _add_absent,
    7: _add_indexes,
}
"""From version n to n + 1: one function each, added with the release that changes the schema."""


def is_current(tx: Connection) -> bool:
    """Whether there is nothing to migrate: the usual case, which must not wait for a writer."""
    return inspect(tx).has_table(schema_info.name) and tx.execute(_VERSION).scalar_one() == SCHEMA_VERSION


def migrate(tx: Connection) -> None:
    """Create the schema, or run the steps from the stored version to this one.

    Raises:
        StoreError: the store was written by a newer release.
    """
    if not inspect(tx).has_table(schema_info.name):
        metadata.create_all(tx)
        tx.execute(schema_info.insert().values(version=SCHEMA_VERSION, token_key=secrets.token_hex(32)))
        return
    version = tx.execute(_VERSION).scalar_one()
    if version > SCHEMA_VERSION:
        raise StoreError(f"the store has schema {version}, this release knows up to {SCHEMA_VERSION}: upgrade it")
    for step in range(version, SCHEMA_VERSION):
        _STEPS[step](tx)
    if version < SCHEMA_VERSION:
        tx.execute(update(schema_info).values(version=SCHEMA_VERSION))
