"""The call journal: every call of a submit flow before it is sent, and its reply. Writes are fenced by the lease."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from mediabroker.errors import StoreError
from mediabroker.spi import Call
from mediabroker.store.attempts import update_attempt
from mediabroker.store.records import AttemptRecord, CallRecord
from mediabroker.store.schema import calls

__all__ = ["LeaseLostError", "entries", "record_intent", "update_call"]

# Built once, as in `jobs`.
_ENTRIES = select(calls).where(calls.c.job_id == bindparam("job"), calls.c.attempt == bindparam("nth"))
_INSERT = insert(calls)
_UPDATE = update(calls).where(
    calls.c.job_id == bindparam("job"), calls.c.attempt == bindparam("nth"), calls.c.ordinal == bindparam("place")
)


class LeaseLostError(StoreError):
    """Another process drives the attempt now; whoever notices stops and changes nothing."""


def entries(tx: Connection, attempt: AttemptRecord) -> dict[int, CallRecord]:
    found = tx.execute(_ENTRIES, {"job": attempt.job_id, "nth": attempt.number})
    return {row.ordinal: CallRecord.of(row) for row in found}


def record_intent(
    tx: Connection, attempt: AttemptRecord, ordinal: int, call: Call[Any], *, now: datetime, lease_until: datetime
) -> None:
    """Write down that `call` is about to be sent.

    Raises:
        LeaseLostError: the attempt has another driver.
    """
    _fence(tx, attempt, lease_until)
    values = {
        "job_id": attempt.job_id,
        "attempt": attempt.number,
        "ordinal": ordinal,
        "step": call.step,
        "service": call.service,
        "operation": call.operation,
        "effect": call.effect,
        "digest": call.digest,
        "params": dict(call.params),
        "status": "sent",
        "sends": 1,
        "sent_at": now,
    }
    tx.execute(_INSERT, values)


def update_call(tx: Connection, attempt: AttemptRecord, ordinal: int, *, lease_until: datetime, **values: Any) -> None:
    """Write down what became of a call.

    Raises:
        LeaseLostError: the attempt has another driver.
    """
    _fence(tx, attempt, lease_until)
    tx.execute(_UPDATE, {"job": attempt.job_id, "nth": attempt.number, "place": ordinal, **values})


def _fence(tx: Connection, attempt: AttemptRecord, lease_until: datetime) -> None:
    if not update_attempt(tx, attempt, fenced=True, lease_until=lease_until):
        raise LeaseLostError(f"attempt {attempt.number} of job {attempt.job_id} is driven by another process")
