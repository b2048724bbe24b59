"""Jobs: insert, find by id or key, list, update, remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from mediabroker.states import JobState
from mediabroker.store.attempts import columns
from mediabroker.store.records import JobRecord
from mediabroker.store.schema import attempts, deliveries, jobs, labels

__all__ = ["by_id", "by_key", "finished_before", "insert_job", "remove", "retries_of", "search", "update_job"]

# Built once and given their values when they are executed: that is a third of the time it takes to build them anew.
_INSERT = insert(jobs)
_BY_ID = select(jobs).where(jobs.c.id == bindparam("wanted"))
_BY_KEY = select(jobs).where(jobs.c.idempotency_key == bindparam("wanted"))
_UPDATE = update(jobs).where(jobs.c.id == bindparam("wanted"))


def insert_job(tx: Connection, job: JobRecord) -> None:
    """Store a new job."""
    values = {name: getattr(job, name) for name in JobRecord.__dataclass_fields__}
    tx.execute(_INSERT, columns({**values, "options": list(job.options)}))
    if job.spec is not None and job.spec.labels:
        rows = [{"job_id": job.id, "name": name, "value": value} for name, value in job.spec.labels.items()]
        tx.execute(insert(labels), rows)


def by_id(tx: Connection, job_id: str) -> JobRecord | None:
    row = tx.execute(_BY_ID, {"wanted": job_id}).one_or_none()
    return JobRecord.of(row) if row else None


def by_key(tx: Connection, key: str) -> JobRecord | None:
    row = tx.execute(_BY_KEY, {"wanted": key}).one_or_none()
    return JobRecord.of(row) if row else None


def update_job(tx: Connection, job_id: str, values: Mapping[str, Any]) -> None:
    """Change fields of a job, named as in `JobRecord`."""
    tx.execute(_UPDATE, {"wanted": job_id, **columns(values)})


def retries_of(tx: Connection, job_id: str) -> list[str]:
    """Return the ids of the jobs that retry this one, oldest first."""
    query = select(jobs.c.id).where(jobs.c.retry_of == job_id).order_by(jobs.c.created_at)
    return list(tx.execute(query).scalars())


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
        query = query.where(jobs.c.id.in_(select(attempts.c.job_id).where(attempts.c.provider == provider)))
    if label is not None:
        name, value = label
        bearing = select(labels.c.job_id).where(labels.c.name == name, labels.c.value == value)
        query = query.where(jobs.c.id.in_(bearing))
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
