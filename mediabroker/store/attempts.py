"""Attempts with their lease, and the members inside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from mediabroker.spi import Member
from mediabroker.states import JobState
from mediabroker.store.records import AttemptRecord, MemberRecord
from mediabroker.store.schema import attempts, jobs, members

__all__ = [
    "all_of",
    "find",
    "insert_attempt",
    "insert_members",
    "latest",
    "members_of",
    "release",
    "soonest_lease_end",
    "take_lease",
    "uncleared",
    "update_attempt",
    "update_member",
]

# Built once, as in `jobs`.
_INSERT = insert(attempts)
_OF_JOB = select(attempts).where(attempts.c.job_id == bindparam("job"))
_ALL_OF_JOB = _OF_JOB.order_by(attempts.c.number)
_LATEST = _OF_JOB.order_by(attempts.c.number.desc()).limit(1)
_UPDATE = update(attempts).where(attempts.c.job_id == bindparam("job"), attempts.c.number == bindparam("nth"))
_UPDATE_FENCED = _UPDATE.where(attempts.c.lease_epoch == bindparam("epoch"))
# Not even its own owner may take a lease twice: two threads of one process are two drivers.
_TAKE_LEASE = _UPDATE.where(or_(attempts.c.lease_until.is_(None), attempts.c.lease_until <= bindparam("now"))).values(
    lease_epoch=attempts.c.lease_epoch + 1
)
_INSERT_MEMBERS = insert(members)
_MEMBERS = (
    select(members)
    .where(members.c.job_id == bindparam("job"), members.c.attempt == bindparam("nth"))
    .order_by(members.c.position)
)
_UPDATE_MEMBER = update(members).where(
    members.c.job_id == bindparam("job"),
    members.c.attempt == bindparam("nth"),
    members.c.position == bindparam("place"),
)


def insert_attempt(tx: Connection, job_id: str, number: int, **values: Any) -> None:
    tx.execute(_INSERT, {"job_id": job_id, "number": number, "state": JobState.SUBMITTING.value, **values})


def latest(tx: Connection, job_id: str) -> AttemptRecord:
    return AttemptRecord.of(tx.execute(_LATEST, {"job": job_id}).one())


def all_of(tx: Connection, job_id: str) -> list[AttemptRecord]:
    return [AttemptRecord.of(row) for row in tx.execute(_ALL_OF_JOB, {"job": job_id})]


def find(tx: Connection, provider: str, *, token: str | None, native_id: str) -> tuple[str, int] | None:
    """Job id and number of the provider instance's attempt with that token, else with that vendor job."""
    by_token = select(attempts.c.job_id, attempts.c.number).where(attempts.c.provider == provider)
    found = tx.execute(by_token.where(attempts.c.token == token)).first() if token else None
    if found is None:
        by_member = by_token.join(
            members, (members.c.job_id == attempts.c.job_id) & (members.c.attempt == attempts.c.number)
        )
        found = tx.execute(by_member.where(members.c.native_id == native_id)).first()
    return (found.job_id, found.number) if found else None


def take_lease(
    tx: Connection, attempt: AttemptRecord, owner: str, *, now: datetime, lease_s: float
) -> AttemptRecord | None:
    """The attempt with a new epoch, ours for `lease_s`; None while somebody else drives it."""
    lease = {"lease_owner": owner, "lease_until": now + timedelta(seconds=lease_s)}
    taken = tx.execute(_TAKE_LEASE, {"job": attempt.job_id, "nth": attempt.number, "now": now, **lease})
    return latest(tx, attempt.job_id) if taken.rowcount else None


def update_attempt(tx: Connection, attempt: AttemptRecord, *, fenced: bool = False, **values: Any) -> bool:
    """Change the attempt; with `fenced`, only while its lease epoch is still the one `attempt` was read with."""
    if isinstance(values.get("state"), JobState):
        values["state"] = values["state"].value
    which = {"job": attempt.job_id, "nth": attempt.number}
    if fenced:
        return bool(tx.execute(_UPDATE_FENCED, {**which, "epoch": attempt.lease_epoch, **values}).rowcount)
    return bool(tx.execute(_UPDATE, {**which, **values}).rowcount)


def release(tx: Connection, attempt: AttemptRecord) -> None:
    """Give the lease back, if it is still ours."""
    update_attempt(tx, attempt, fenced=True, lease_until=None)


def soonest_lease_end(tx: Connection) -> datetime | None:
    """When the first of the leases on attempts that have not ended runs out; None while nobody drives one."""
    query = select(attempts.c.lease_until).where(attempts.c.lease_until.is_not(None), attempts.c.ended_at.is_(None))
    return tx.execute(query.order_by(attempts.c.lease_until).limit(1)).scalar_one_or_none()


def uncleared(tx: Connection, ids: Sequence[str] | None = None) -> list[tuple[str, AttemptRecord]]:
    """Attempts, of these jobs or of all, that have ended by evidence and whose staged objects may still be there."""
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
    return [(row.job_id, AttemptRecord.of(row)) for row in tx.execute(query)]


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
            "state": JobState.QUEUED.value,
            "rank": JobState.QUEUED.rank,
        }
        for position, member in enumerate(submitted)
    ]
    tx.execute(_INSERT_MEMBERS, rows)


def members_of(tx: Connection, attempt: AttemptRecord, kind: str) -> list[MemberRecord]:
    found = tx.execute(_MEMBERS, {"job": attempt.job_id, "nth": attempt.number})
    return [MemberRecord.of(row, kind) for row in found]


def update_member(tx: Connection, member: MemberRecord, **values: Any) -> None:
    tx.execute(_UPDATE_MEMBER, {"job": member.job_id, "nth": member.attempt, "place": member.position, **values})
