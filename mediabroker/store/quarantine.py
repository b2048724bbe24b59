"""Messages that nobody could use, kept byte for byte with the reason; the same bytes from the same queue are one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from mediabroker.messages import InboundMessage
from mediabroker.store.schema import quarantine

__all__ = ["Quarantined", "by_id", "keep", "newest", "remove", "remove_before"]


@dataclass(frozen=True)
class Quarantined:
    """One kept message. `received` counts all deliveries of these bytes."""

    id: str
    source: str
    message_id: str
    reason: str
    body: bytes = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)
    received: int
    first_at: datetime
    last_at: datetime

    @property
    def message(self) -> InboundMessage:
        """The message as it came, without the receipt of a delivery that is over."""
        return InboundMessage(body=self.body, source=self.source, id=self.message_id, attributes=self.attributes)


def keep(tx: Connection, message: InboundMessage, reason: str, now: datetime) -> str:
    """Keep a message; its id."""
    digest = hashlib.sha256(message.source.encode() + b"\0" + message.body).hexdigest()[:32]
    seen = update(quarantine).where(quarantine.c.id == digest)
    if not tx.execute(
        seen.values(received=quarantine.c.received + message.receive_count, last_at=now, reason=reason)
    ).rowcount:
        tx.execute(
            insert(quarantine).values(
                id=digest,
                source=message.source,
                message_id=message.id,
                reason=reason,
                body=message.body,
                attributes=dict(message.attributes),
                received=message.receive_count,
                first_at=now,
                last_at=now,
            )
        )
    return digest


def newest(tx: Connection, limit: int | None) -> list[Quarantined]:
    query = select(quarantine).order_by(quarantine.c.last_at.desc(), quarantine.c.id).limit(limit)
    return [Quarantined(**row._mapping) for row in tx.execute(query)]


def by_id(tx: Connection, quarantine_id: str) -> Quarantined | None:
    row = tx.execute(select(quarantine).where(quarantine.c.id == quarantine_id)).one_or_none()
    return Quarantined(**row._mapping) if row else None


def remove(tx: Connection, quarantine_id: str) -> None:
    tx.execute(delete(quarantine).where(quarantine.c.id == quarantine_id))


def remove_before(tx: Connection, cutoff: datetime) -> int:
    """Forget the messages that were last seen before then; how many."""
    return tx.execute(delete(quarantine).where(quarantine.c.last_at < cutoff)).rowcount
