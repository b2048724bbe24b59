"""Jobs: insert, find by id or key, list, update, remove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from mediabroker.jobs import JobSpec
from mediabroker.spi import Origin
from mediabroker.states import JobState
from mediabroker.store.records import JobRecord, Route
from mediabroker.store.schema import attempts, deliveries, jobs, labels

__all__ = ["by_id", "by_key", "finished_before", "insert_job", "live", "release_key", "remove", "search", "update_job"]

# Built once and given their values when they are executed: that is a third of the time it takes to build them anew.
_INSERT = insert(jobs)
_BY_ID = select(jobs).where(jobs.c.id == bindparam("wanted"))
_BY_KEY = select(jobs).where(jobs.c.idempotency_key == bindparam("wanted"))
_UPDATE = update(jobs).where(jobs.c.id == bindparam("wanted"))

_LIVE = (JobState.SUBMITTING.value, JobState.QUEUED.value, JobState.RUNNING.value)


def insert_job(
    tx: Connection,
    job_id: str,
    *,
    kind: str,
    spec: JobSpec[Any] | None,
    options: Sequence[dict[str, Any]] = (),
    key: str | None = None,
    fingerprint: str | None = None,
    origin: Origin | None = None,
    route: Route | None = None,
    deadline_at: datetime | None = None,
    queue_timeout_s: float | None = None,
    now: datetime,
) -> None:
    """Store a job by its spec, or what its `origin` tells of one that another host has submitted."""
    output = spec.output if spec else (origin.deliver_to or origin.output) if origin else None
    values = {
        "id": job_id,
        "kind": kind,
        "spec": spec.model_dump(mode="json") if spec else None,
        "options": list(options),
        "output": str(output) if output else None,
        "idempotency_key": key,
        "route": route.model_dump(mode="json") if route else None,
        "fingerprint": fingerprint,
        "deadline_at": deadline_at,
        "queue_timeout_s": queue_timeout_s,
        "state": JobState.SUBMITTING.value,
        "user_data": spec.user_data if spec else origin.user_data if origin else None,
        "created_at": now,
    }
    tx.execute(_INSERT, values)
    if spec and spec.labels:
        rows = [{"job_id": job_id, "name": name, "value": value} for name, value in spec.labels.items()]
        tx.execute(insert(labels), rows)


def by_id(tx: Connection, job_id: str) -> JobRecord | None:
    row = tx.execute(_BY_ID, {"wanted": job_id}).one_or_none()
    return JobRecord.of(row) if row else None


def by_key(tx: Connection, key: str) -> JobRecord | None:
    row = tx.execute(_BY_KEY, {"wanted": key}).one_or_none()
    return JobRecord.of(row) if row else None


def release_key(tx: Connection, job_id: str) -> None:
    """Let an expired key be used again; the job stays."""
    update_job(tx, job_id, idempotency_key=None)


def update_job(tx: Connection, job_id: str, **values: Any) -> None:
    if isinstance(values.get("state"), JobState):
        values["state"] = values["state"].value
    tx.execute(_UPDATE, {"wanted": job_id, **values})


def live(tx: Connection, ids: Sequence[str] | None = None) -> list[JobRecord]:
    """The jobs that have not ended, of `ids` or of all, oldest first; of `ids` also those whose end was inferred."""
    query = select(jobs).order_by(jobs.c.created_at)
    if ids is None:
        query = query.where(jobs.c.state.in_(_LIVE))
    else:
        query = query.where(jobs.c.id.in_(ids), jobs.c.state.in_(_LIVE) | jobs.c.inferred)
    return [JobRecord.of(row) for row in tx.execute(query)]


def search(
    tx: Connection,
    *,
    state: JobState | None = None,
    kind: str | None = None,
    provider: str | None = None,
    label: tuple[str, str] | None = None,
    limit: int | None = None,
) -> Iterator[JobRecord]:
    """Jobs that match all that is given, newest first."""
    query = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id)
    if state is not None:
        query = query.where(jobs.c.state == state.value)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    if provider is not None:
        query = query.where(exists().where(attempts.c.job_id == jobs.c.id, attempts.c.provider == provider))
    if label is not None:
        name, value = label
        has = exists().where(labels.c.job_id == jobs.c.id, labels.c.name == name, labels.c.value == value)
        query = query.where(has)
    return (JobRecord.of(row) for row in tx.execute(query.limit(limit)))


def finished_before(tx: Connection, cutoff: datetime, key_cutoff: datetime, limit: int) -> list[str]:
    """Ended jobs older than `cutoff`; those whose key must still be honoured only once older than `key_cutoff`.

    Never one with an event that a registered consumer has still to be given.
    """
    told = ~exists().where(deliveries.c.job_id == jobs.c.id)
    keyless = jobs.c.idempotency_key.is_(None)
    query = (
        select(jobs.c.id)
        .where(jobs.c.finished_at < cutoff, keyless | (jobs.c.finished_at < key_cutoff), told)
        .order_by(jobs.c.finished_at)
        .limit(limit)
    )
    return list(tx.execute(query).scalars())


def remove(tx: Connection, ids: Sequence[str]) -> None:
    """Delete jobs and all that hangs on them."""
    tx.execute(delete(jobs).where(jobs.c.id.in_(ids)))
