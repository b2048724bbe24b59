"""What a caller asks for, before anything is stored: the job's record, its fingerprint, its idempotency key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from mediabroker.broker.attempt.choosing import Choice
from mediabroker.broker.attempt.limits import Limits
from mediabroker.broker.core import Core
from mediabroker.errors import IdempotencyConflictError, InvalidJobError, MediaError
from mediabroker.jobs import JobSpec
from mediabroker.refs import new_job_id
from mediabroker.spi import ProviderOptions
from mediabroker.store import jobs
from mediabroker.store.records import JobRecord

__all__ = ["KeyTakenError", "check_input", "claim_key", "fingerprint", "intend"]


class KeyTakenError(Exception):
    """The idempotency key already names a job of the same request."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id


def intend(
    core: Core,
    spec: JobSpec[Any],
    choice: Choice,
    limits: Limits,
    *,
    options: Sequence[ProviderOptions] = (),
    key: str | None = None,
    retry_of: str | None = None,
) -> JobRecord:
    """Return the record of a job that nothing has been done for yet.

    Raises:
        InvalidJobError: its local input does not exist.
    """
    check_input(core, spec, key=key)
    now = core.clock.now()
    return JobRecord(
        new_job_id(),
        spec.kind,
        spec,
        now,
        options=tuple({"provider": each.provider, "values": each.model_dump(mode="json")} for each in options),
        route=choice.route,
        user_data=spec.user_data,
        deadline_at=now + limits.deadline if limits.deadline else None,
        queue_timeout_s=limits.queue_timeout.total_seconds() if limits.queue_timeout else None,
        fingerprint=fingerprint(spec, options),
        idempotency_key=key,
        retry_of=retry_of,
    )


def check_input(core: Core, spec: JobSpec[Any], *, key: str | None = None) -> None:
    """Refuse a local input that does not exist, unless the key names a job: that one is found, whatever became of it.

    Raises:
        InvalidJobError: the input does not exist.
    """
    if spec.input.scheme != "file":
        return
    try:
        found = core.stores.of(spec.input).stat(spec.input)
    except MediaError:
        return  # it is there and cannot be looked at; the job says why
    if found is None and not _is_held(core, key):
        raise InvalidJobError(f"input: {spec.input.path} does not exist")


def _is_held(core: Core, key: str | None) -> bool:
    if key is None:
        return False
    with core.store.read() as tx:
        known = jobs.by_key(tx, key)
    return known is not None and not _has_expired(core, known)


def _has_expired(core: Core, holder: JobRecord) -> bool:
    retention = timedelta(days=core.settings.key_retention_days)
    return holder.finished_at is not None and core.clock.now() - holder.finished_at > retention


def fingerprint(spec: JobSpec[Any], options: Sequence[ProviderOptions]) -> str:
    """Return a digest of the request: equal for equal requests, across processes and releases.

    Defaults are left out, so that a field which a later release adds does not change an old request.
    """
    content = {
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
        "kind": spec.kind,
        "options": [[each.provider, each.model_dump(mode="json", exclude_defaults=True)] for each in options],
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "1:" + hashlib.sha256(canonical.encode()).hexdigest()


def claim_key(tx: Connection, core: Core, job: JobRecord) -> None:
    """Make sure that the job's idempotency key is free; an expired one is released."""
    known = jobs.by_key(tx, job.idempotency_key) if job.idempotency_key is not None else None
    if known is None:
        return
    if _has_expired(core, known):
        jobs.update_job(tx, known.id, {"idempotency_key": None})
        return
    if known.fingerprint != job.fingerprint:
        raise IdempotencyConflictError(
            f"idempotency_key {job.idempotency_key!r} belongs to job {known.id}, which asked for something else"
            + _differences(known, job)
        )
    raise KeyTakenError(known.id)


def _differences(known: JobRecord, job: JobRecord) -> str:
    """Name the fields that differ, without their values: they may hold signed URLs."""
    if known.spec is None or job.spec is None or known.kind != job.kind:
        return ""
    before, after = known.spec.model_dump(mode="json"), job.spec.model_dump(mode="json")
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if known.options != job.options:
        names.append("options")
    return f": {', '.join(names)} differ" if names else ""
