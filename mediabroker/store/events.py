"""The outbox (events, written with the change they tell of) and the inbox (what the vendor said)."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from mediabroker.events import JobEvent, event_from_json
from mediabroker.spi import Observation
from mediabroker.store.deliveries import address
from mediabroker.store.schema import inbox, outbox

__all__ = ["append_event", "events_after", "hinted_ids", "last_terminal_id", "record_observation"]

# Built once, as in `jobs`.
_INSERT = insert(outbox)
_AFTER = (
    select(outbox.c.payload)
    .where(outbox.c.job_id == bindparam("job"), outbox.c.sequence > bindparam("last"))
    .order_by(outbox.c.sequence)
)
_IS_KEPT = select(inbox.c.id).where(inbox.c.id == bindparam("digest"))
_KEEP = insert(inbox)

_TERMINAL = ("job_succeeded", "job_failed", "job_cancelled")


def append_event(tx: Connection, event: JobEvent) -> None:
    values = {
        "id": event.id,
        "job_id": event.ref.job_id,
        "sequence": event.sequence,
        "payload": event.model_dump(mode="json"),
        "created_at": event.occurred_at,
    }
    tx.execute(_INSERT, values)
    address(tx, event.id)


def events_after(tx: Connection, job_id: str, sequence: int = 0) -> list[JobEvent]:
    found = tx.execute(_AFTER, {"job": job_id, "last": sequence})
    return [event_from_json(payload) for payload in found.scalars()]


def last_terminal_id(tx: Connection, job_id: str) -> str | None:
    """Id of the last terminal event of the job: what a correction corrects."""
    query = select(outbox.c.id, outbox.c.payload).where(outbox.c.job_id == job_id).order_by(outbox.c.sequence.desc())
    return next((row.id for row in tx.execute(query) if row.payload["type"] in _TERMINAL), None)


def record_observation(
    tx: Connection, attempt: tuple[str, int], observation: Observation, outcome: str, now: datetime
) -> None:
    """Keep what was said of an attempt (job id, number), once, with what became of it."""
    job_id, number = attempt
    said = observation.model_dump(mode="json")
    content = json.dumps([job_id, number, said], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    if tx.execute(_IS_KEPT, {"digest": digest}).one_or_none() is None:
        values = {
            "id": digest,
            "job_id": job_id,
            "attempt": number,
            "native_id": observation.native_id,
            "outcome": outcome,
            "observation": said,
            "received_at": now,
        }
        tx.execute(_KEEP, values)


def hinted_ids(tx: Connection, attempt: tuple[str, int]) -> tuple[str, ...]:
    """The vendor jobs that callbacks have named for an attempt (job id, number), in the order of their arrival."""
    job_id, number = attempt
    query = (
        select(inbox.c.native_id)
        .where(inbox.c.job_id == job_id, inbox.c.attempt == number, inbox.c.outcome == "hint")
        .order_by(inbox.c.received_at, inbox.c.id)
    )
    return tuple(dict.fromkeys(tx.execute(query).scalars()))
