"""Attempts with their lease, and the members inside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

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


def insert_attempt(tx: Connection, job_id: str, number: int, **values: Any) -> None:
    tx.execute(insert(attempts).values(job_id=job_id, number=number, state=JobState.SUBMITTING.value, **values))


def latest(tx: Connection, job_id: str) -> AttemptRecord:
    query = select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number.desc()).limit(1)
    return AttemptRecord.of(tx.execute(query).one())


def all_of(tx: Connection, job_id: str) -> list[AttemptRecord]:
    query = select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number)
    return [AttemptRecord.of(row) for row in tx.execute(query)]


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
    # Not even its own owner may take a lease twice: two threads of one process are two drivers.
    free = or_(attempts.c.lease_until.is_(None), attempts.c.lease_until <= now)
    taken = tx.execute(
        update(attempts)
        .where(attempts.c.job_id == attempt.job_id, attempts.c.number == attempt.number, free)
        .values(
            lease_owner=owner,
            lease_epoch=attempts.c.lease_epoch + 1,
            lease_until=now + timedelta(seconds=lease_s),
        )
    )
    return latest(tx, attempt.job_id) if taken.rowcount else None


def update_attempt(tx: Connection, attempt: AttemptRecord, *, fenced: bool = False, **values: Any) -> bool:
    """Change the attempt; with `fenced`, only while its lease epoch is still the one `attempt` was read with."""
    if isinstance(values.get("state"), JobState):
        values["state"] = values["state"].value
    query = update(attempts).where(attempts.c.job_id == attempt.job_id, attempts.c.number == attempt.number)
    if fenced:
        query = query.where(attempts.c.lease_epoch == attempt.lease_epoch)
    return bool(tx.execute(query.values(**values)).rowcount)


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
    tx.execute(insert(members), rows)


def members_of(tx: Connection, attempt: AttemptRecord, kind: str) -> list[MemberRecord]:
    query = (
        select(members)
        .where(members.c.job_id == attempt.job_id, members.c.attempt == attempt.number)
        .order_by(members.c.position)
    )
    return [MemberRecord.of(row, kind) for row in tx.execute(query)]


def update_member(tx: Connection, member: MemberRecord, **values: Any) -> None:
    tx.execute(
        update(members)
        .where(
            members.c.job_id == member.job_id,
            members.c.attempt == member.attempt,
            members.c.position == member.position,
        )
        .values(**values)
    )
