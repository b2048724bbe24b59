"""Attempts with all that belongs to them: read as a whole, and written as the changes of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    exists,
    insert,
    select,
    union,
    update,
)

from mediabroker.flows import Entry
from mediabroker.models import Value
from mediabroker.spi import Member
from mediabroker.states import JobState
from mediabroker.store.records import AttemptRecord, JobRecord, MemberRecord
from mediabroker.store.schema import attempts, calls, jobs, members

__all__ = [
    "LIVE",
    "Loaded",
    "all_of",
    "columns",
    "entries_of",
    "find",
    "insert_attempt",
    "insert_members",
    "load",
    "load_one",
    "members_of",
    "soonest_lease_end",
    "uncleared",
    "update_attempt",
    "update_member",
    "write_entry",
]

LIVE = jobs.c.state.in_([JobState.SUBMITTING.value, JobState.QUEUED.value, JobState.RUNNING.value])
_EVER = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""Before any time of a store: SQLite goes by an index for "later than", not for "not null"."""
_LATE = exists().where(attempts.c.job_id == jobs.c.id, attempts.c.late_search_at.is_not(None))

# Built once and given their values when they are executed: that is a third of the time it takes to build them anew.
_JOB: BindParameter[str] = bindparam("job")
_IDS: BindParameter[Sequence[str]] = bindparam("ids", expanding=True)
_INSERT = insert(attempts)
_UPDATE = update(attempts).where(attempts.c.job_id == _JOB, attempts.c.number == bindparam("nth"))
_UPDATE_FENCED = _UPDATE.where(attempts.c.lease_epoch == bindparam("epoch"))
_ALL_OF_JOB = select(attempts).where(attempts.c.job_id == _JOB).order_by(attempts.c.number)
_INSERT_MEMBERS = insert(members)
_UPDATE_MEMBER = update(members).where(
    members.c.job_id == _JOB, members.c.attempt == bindparam("nth"), members.c.position == bindparam("place")
)
_INSERT_CALL = insert(calls)
_UPDATE_CALL = update(calls).where(
    calls.c.job_id == _JOB, calls.c.attempt == bindparam("nth"), calls.c.ordinal == bindparam("place")
)


class Loaded(NamedTuple):
    """A job with its attempts, and what the last of them consists of."""

    job: JobRecord
    attempts: Sequence[AttemptRecord]
    members: Sequence[MemberRecord]
    entries: Mapping[int, Entry]
    """The journal; read for the attempts that are being submitted, or searched for late."""


class _Whole:
    """The four statements that read jobs as a whole."""

    def __init__(self, which: ColumnElement[bool]) -> None:
        ids = select(jobs.c.id).where(which)
        self.jobs = select(jobs).where(which).order_by(jobs.c.created_at)
        self.attempts = _of(attempts, ids).order_by(attempts.c.job_id, attempts.c.number)
        self.members = _of(members, ids).order_by(members.c.job_id, members.c.attempt, members.c.position)
        journalled = select(jobs.c.id).where(which, (jobs.c.state == JobState.SUBMITTING.value) | _LATE)
        self.calls = _of(calls, journalled).order_by(calls.c.job_id, calls.c.attempt, calls.c.ordinal)


def _of(table: Any, ids: Select[Any]) -> Select[Any]:
    return select(table).where(table.c.job_id.in_(ids))


_ONE = _Whole(jobs.c.id == _JOB)
_SOME = _Whole(jobs.c.id.in_(_IDS))
# As two halves, each by its index: a condition on either would be tried on every job that ever was.
_ALL_LIVE = _Whole(
    jobs.c.id.in_(
        union(select(jobs.c.id).where(LIVE), select(attempts.c.job_id).where(attempts.c.late_search_at > _EVER))
    )
)


def load_one(tx: Connection, job_id: str) -> Loaded | None:
    """Return one job as a whole."""
    return next(iter(_load(tx, _ONE, {"job": job_id})), None)


def load(tx: Connection, ids: Sequence[str] | None = None) -> list[Loaded]:
    """Return jobs as a whole, oldest first: those of `ids`, or all that are live. A constant number of statements."""
    return _load(tx, _ALL_LIVE, {}) if ids is None else _load(tx, _SOME, {"ids": list(ids)})


def _load(tx: Connection, whole: _Whole, which: Mapping[str, Any]) -> list[Loaded]:
    found = [JobRecord.of(row) for row in tx.execute(whole.jobs, which)]
    if not found:
        return []
    made = _grouped(AttemptRecord.of(row) for row in tx.execute(whole.attempts, which))
    kinds = {job.id: job.kind for job in found}
    known: dict[tuple[str, int], list[MemberRecord]] = {}
    if any(job.state is not JobState.SUBMITTING for job in found):
        for row in tx.execute(whole.members, which):
            known.setdefault((row.job_id, row.attempt), []).append(MemberRecord.of(row, kinds[row.job_id]))
    journal: dict[tuple[str, int], dict[int, Entry]] = {}
    if any(job.state is JobState.SUBMITTING or made[job.id][-1].late_search_at for job in found):
        for row in tx.execute(whole.calls, which):
            journal.setdefault((row.job_id, row.attempt), {})[row.ordinal] = _entry(row)
    whole_jobs = []
    for job in found:
        latest = (job.id, made[job.id][-1].number)
        whole_jobs.append(Loaded(job, made[job.id], known.get(latest, []), journal.get(latest, {})))
    return whole_jobs


def _grouped(found: Iterable[AttemptRecord]) -> dict[str, list[AttemptRecord]]:
    by_job: dict[str, list[AttemptRecord]] = {}
    for each in found:
        by_job.setdefault(each.job_id, []).append(each)
    return by_job


_ENTRY_FIELDS = tuple(name for name in Entry.__dataclass_fields__ if name != "call")


def _entry(row: Any) -> Entry:
    fields = {name: row._mapping[name] for name in _ENTRY_FIELDS}
    fields["status"] = "sent" if row.status == "unknown" else row.status  # a word of earlier releases
    return Entry(**fields)


def members_of(tx: Connection, ids: Sequence[str]) -> list[tuple[str, Member]]:
    """Return all vendor jobs of these jobs, each with the provider that it was submitted to."""
    joined = (attempts.c.job_id == members.c.job_id) & (attempts.c.number == members.c.attempt)
    query = select(attempts.c.provider, members.c.role, members.c.native_id).join(members, joined)
    found = tx.execute(query.where(attempts.c.job_id.in_(ids), members.c.absent.is_(None)))
    return [(row.provider, Member(role=row.role, native_id=row.native_id)) for row in found]


def entries_of(tx: Connection, job_id: str) -> list[tuple[int, Entry]]:
    """Return the journals of all attempts of a job, each entry with its attempt's number."""
    query = select(calls).where(calls.c.job_id == _JOB).order_by(calls.c.attempt, calls.c.ordinal)
    return [(row.attempt, _entry(row)) for row in tx.execute(query, {"job": job_id})]


def columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a record as the columns take them."""
    return {name: _column(value) for name, value in values.items()}


def _column(value: Any) -> Any:
    if isinstance(value, JobState):
        return value.value
    return value.model_dump(mode="json") if isinstance(value, Value) or hasattr(value, "model_dump") else value


def all_of(tx: Connection, job_id: str) -> list[AttemptRecord]:
    """Return all attempts of a job, in order."""
    return [AttemptRecord.of(row) for row in tx.execute(_ALL_OF_JOB, {"job": job_id})]


def insert_attempt(tx: Connection, attempt: AttemptRecord) -> None:
    values = {name: getattr(attempt, name) for name in AttemptRecord.__dataclass_fields__}
    values["placement"] = attempt.placement if attempt.placement.folders or attempt.placement.output else None
    tx.execute(_INSERT, columns(values))


def update_attempt(tx: Connection, attempt: AttemptRecord, values: Mapping[str, Any], *, fenced: bool = False) -> bool:
    """Change the attempt; with `fenced`, only while its lease epoch is still the one `attempt` was read with."""
    which = {"job": attempt.job_id, "nth": attempt.number, **({"epoch": attempt.lease_epoch} if fenced else {})}
    statement = _UPDATE_FENCED if fenced else _UPDATE
    return bool(tx.execute(statement, {**which, **columns(values)}).rowcount)


def insert_members(tx: Connection, attempt: AttemptRecord, submitted: Sequence[Member]) -> None:
    rows = [
        {
            "job_id": attempt.job_id,
            "attempt": attempt.number,
            "position": position,
            "role": member.role,
            "native_id": member.native_id,
            "required": member.required,
            "output": str(member.output) if member.output else None,
            "absent": member.absent.model_dump(mode="json", exclude_none=True) if member.absent else None,
            "state": JobState.QUEUED.value,
            "rank": JobState.QUEUED.rank,
        }
        for position, member in enumerate(submitted)
    ]
    tx.execute(_INSERT_MEMBERS, rows)


def update_member(tx: Connection, member: MemberRecord, values: Mapping[str, Any]) -> None:
    which = {"job": member.job_id, "nth": member.attempt, "place": member.position}
    tx.execute(_UPDATE_MEMBER, {**which, **columns(values)})


def write_entry(tx: Connection, attempt: AttemptRecord, entry: Entry, *, is_new: bool) -> None:
    """Store a journal entry as it is now."""
    values: dict[str, Any] = {name: getattr(entry, name) for name in _ENTRY_FIELDS}
    if is_new:
        values["params"] = dict(entry.params)
        key = {"job_id": attempt.job_id, "attempt": attempt.number}
        tx.execute(_INSERT_CALL, {**key, **values, "digest": entry.call.digest})
        return
    which = {"job": attempt.job_id, "nth": attempt.number, "place": values.pop("ordinal")}
    fixed = ("service", "operation", "params", "effect", "step")
    tx.execute(_UPDATE_CALL, {**which, **{name: value for name, value in values.items() if name not in fixed}})


def find(tx: Connection, provider: str, *, token: str | None, native_id: str) -> tuple[str, int] | None:
    """Return job id and number of the instance's attempt with that token, else with that vendor job."""
    by_token = select(attempts.c.job_id, attempts.c.number).where(attempts.c.provider == provider)
    found = tx.execute(by_token.where(attempts.c.token == token)).first() if token else None
    if found is None:
        by_member = by_token.join(
            members, (members.c.job_id == attempts.c.job_id) & (members.c.attempt == attempts.c.number)
        )
        found = tx.execute(by_member.where(members.c.native_id == native_id)).first()
    return (found.job_id, found.number) if found else None


def soonest_lease_end(tx: Connection) -> datetime | None:
    """Return when the first of the leases on attempts that have not ended runs out."""
    query = select(attempts.c.lease_until).where(attempts.c.lease_until.is_not(None), attempts.c.ended_at.is_(None))
    return tx.execute(query.order_by(attempts.c.lease_until).limit(1)).scalar_one_or_none()


def uncleared(tx: Connection, ids: Sequence[str] | None = None) -> list[AttemptRecord]:
    """Return attempts that have ended by evidence, and whose staged objects may still be there."""
    query = (
        select(attempts)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(
            attempts.c.placement.is_not(None),
            attempts.c.ended_at.is_not(None),
            attempts.c.cleared_at.is_(None),
            jobs.c.inferred.is_(False),
        )
    )
    if ids is not None:
        query = query.where(attempts.c.job_id.in_(ids))
    return [AttemptRecord.of(row) for row in tx.execute(query)]
