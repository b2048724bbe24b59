"""Which consumer has still to be given which event. A consumer is a name; processes that share it share the work.

From its registration on a consumer owes an acknowledgement for every event that the store holds. A row is leased to one
process at a time and removed when the event was handled. Events of one job are given in order: none before the one
before it was handled.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, insert, literal, or_, select, true, update

from mediabroker.events import JobEvent, event_from_json
from mediabroker.store.schema import consumers, deliveries, outbox

__all__ = ["Delivery", "acknowledge", "address", "claim", "forget", "is_due", "register", "release", "renew"]


class Delivery(NamedTuple):
    """An event on loan to one process."""

    consumer: str
    event: JobEvent
    failures: int
    """How often handling it has failed before."""


def register(tx: Connection, consumer: str, now: datetime) -> None:
    """Make the consumer known; a new one is owed every event that is there."""
    if tx.execute(select(consumers.c.name).where(consumers.c.name == consumer)).one_or_none() is None:
        tx.execute(insert(consumers).values(name=consumer, registered_at=now))
        tx.execute(_owed(consumers.c.name == consumer))


def forget(tx: Connection, consumer: str) -> bool:
    """Remove the consumer and what it is owed; whether it was known."""
    return bool(tx.execute(delete(consumers).where(consumers.c.name == consumer)).rowcount)


def address(tx: Connection, event_id: str) -> None:
    """Owe a new event to all consumers."""
    tx.execute(_OWED_TO_ALL, {"event": event_id})


def _owed(which: ColumnElement[bool]) -> Any:
    rows = (
        select(consumers.c.name, outbox.c.id, outbox.c.job_id, outbox.c.sequence, outbox.c.created_at, literal(0))
        .select_from(outbox.join(consumers, true()))
        .where(which)
    )
    columns = ["consumer", "event_id", "job_id", "sequence", "created_at", "failures"]
    return insert(deliveries).from_select(columns, rows)


_OWED_TO_ALL = _owed(outbox.c.id == bindparam("event"))  # built once, as in `jobs`


def is_due(tx: Connection, consumer: str, now: datetime) -> bool:
    """Whether there is something to claim: asked often, and without the write lock."""
    return tx.execute(_due(consumer, now)).first() is not None


def claim(tx: Connection, consumer: str, owner: str, *, now: datetime, until: datetime) -> Delivery | None:
    """The oldest event that is due, on loan to `owner` until then."""
    row = tx.execute(_due(consumer, now)).first()
    if row is None:
        return None
    tx.execute(_of(consumer, row.event_id).values(lease_owner=owner, lease_until=until))
    payload = tx.execute(select(outbox.c.payload).where(outbox.c.id == row.event_id)).scalar_one()
    return Delivery(consumer, event_from_json(payload), row.failures)


def _due(consumer: str, now: datetime) -> Any:
    earlier = deliveries.alias()
    free = or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now)
    due = or_(deliveries.c.due_at.is_(None), deliveries.c.due_at <= now)
    in_turn = ~exists().where(
        earlier.c.consumer == consumer,
        earlier.c.job_id == deliveries.c.job_id,
        earlier.c.sequence < deliveries.c.sequence,
    )
    return (
        select(deliveries.c.event_id, deliveries.c.failures)
        .where(deliveries.c.consumer == consumer, free, due, in_turn)
        .order_by(deliveries.c.created_at, deliveries.c.sequence)
        .limit(1)
    )


def _of(consumer: str, event_id: str) -> Any:
    return update(deliveries).where(deliveries.c.consumer == consumer, deliveries.c.event_id == event_id)


def renew(tx: Connection, consumer: str, owner: str, until: datetime) -> None:
    """Keep all that `owner` has on loan."""
    ours = (deliveries.c.consumer == consumer, deliveries.c.lease_owner == owner)
    tx.execute(update(deliveries).where(*ours).values(lease_until=until))


def acknowledge(tx: Connection, delivery: Delivery) -> None:
    """The event was handled; also if the loan has run out meanwhile."""
    ours = (deliveries.c.consumer == delivery.consumer, deliveries.c.event_id == delivery.event.id)
    tx.execute(delete(deliveries).where(*ours))


def release(tx: Connection, delivery: Delivery, owner: str, *, due_at: datetime, failures: int) -> None:
    """Give the event back, to be offered again at `due_at`; nothing if somebody else has it on loan now."""
    ours = _of(delivery.consumer, delivery.event.id).where(deliveries.c.lease_owner == owner)
    tx.execute(ours.values(lease_owner=None, lease_until=None, due_at=due_at, failures=failures))
