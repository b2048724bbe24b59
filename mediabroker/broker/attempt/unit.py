"""One attempt as the store has it: read as a whole, changed in memory, and written by one fenced unit of work."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection

from mediabroker.broker.core import Core
from mediabroker.errors import StoreError
from mediabroker.events import JobEvent
from mediabroker.flows import Entry
from mediabroker.refs import JobRef, MemberRef
from mediabroker.spi import Member
from mediabroker.store import attempts, events, jobs
from mediabroker.store.attempts import Loaded
from mediabroker.store.records import AttemptRecord

__all__ = ["LeaseLostError", "Unit"]


class LeaseLostError(StoreError):
    """Another process drives the attempt now; this one stops and changes nothing."""


class Unit:
    """A job's latest attempt, and what has changed of it since it was read.

    `save` writes the changes in the caller's transaction; `unit` in one of its own that fails when the lease is lost.
    """

    def __init__(self, core: Core, loaded: Loaded, *, is_stored: bool = True) -> None:
        self.core = core
        self.job, self.row = loaded.job, loaded.attempts[-1]
        self.earlier = loaded.attempts[:-1]
        self.members, self.entries = list(loaded.members), dict(loaded.entries)
        self.is_stored, self._journalled = is_stored, set(self.entries)
        self._job_changes: dict[str, Any] = {}
        self._row_changes: dict[str, Any] = {}
        self._member_changes: dict[int, dict[str, Any]] = {}
        self._entry_changes: set[int] = set()
        self._accepted: Sequence[Member] = ()
        self._events: list[tuple[type[JobEvent], dict[str, Any]]] = []
        self._follower: AttemptRecord | None = None
        self._is_followed = False

    @property
    def ref(self) -> JobRef:
        """The job's reference as far as it is known: complete once the provider has accepted."""
        known = [each.status.member for each in self.members if each.status.required]
        return JobRef(
            job_id=self.job.id,
            provider=self.row.provider,
            kind=self.job.kind,
            account=self.row.account,
            region=self.row.region,
            members=tuple(MemberRef(role=each.role, native_id=each.native_id, absent=each.absent) for each in known),
        )

    @property
    def raw(self) -> JsonValue:
        """The vendor's own last word on the attempt."""
        return next((each.status.raw for each in reversed(self.members) if each.status.raw is not None), None)

    def change(self, **values: Any) -> None:
        """Change the attempt's own fields."""
        self.row = replace(self.row, **values)
        self._row_changes |= values

    def change_job(self, **values: Any) -> None:
        """Change the job's fields."""
        self.job = replace(self.job, **values)
        self._job_changes |= values

    def change_member(self, position: int, *, key: Any = None, not_found_at: Any = None, **status: Any) -> None:
        """Change a member's status; `not_found_at` is reset unless it is given."""
        before = self.members[position]
        after = replace(before, status=before.status.model_copy(update=status), not_found_at=not_found_at)
        changes = {**status, "not_found_at": not_found_at}
        if key is not None:
            after = replace(after, key=key)
            changes |= {"vendor_attempt": key.vendor_attempt, "rank": key.rank, "sub_rank": key.sub_rank}
        self.members[position] = after
        self._member_changes.setdefault(position, {}).update(changes)

    def note(self, entry: Entry) -> None:
        """Put an entry into the journal, stored with the next write."""
        self.entries[entry.ordinal] = entry
        self._entry_changes.add(entry.ordinal)
        resent = entry.status == "accepted" and entry.sends > 1 and entry.effect == "create"
        if resent and self.row.late_search_at is None:
            self.change(late_search_at=self.core.clock.now())

    def report(self, event: type[JobEvent], **fields: Any) -> None:
        """Report an event, with the job's next sequence number."""
        self._events.append((event, fields))

    @contextmanager
    def unit(self) -> Iterator[Connection]:
        """Write what the block changes in one transaction, and extend the lease unless the block releases it.

        Raises:
            LeaseLostError: another process drives the attempt now; nothing is written.
        """
        with self.core.store.write() as tx:
            if self.is_stored:
                current = jobs.by_id(tx, self.job.id)  # a cancel may have come
                self.job = replace(current, **self._job_changes) if current is not None else self.job
            yield tx
            if "lease_until" not in self._row_changes:
                self.change(lease_until=self.core.clock.now() + self.core.lease)
            self.save(tx, fenced=True)

    def save(self, tx: Connection, *, fenced: bool = False) -> None:
        """Write all changes; with `fenced`, only while the lease is this process's."""
        if not self.is_stored:
            jobs.insert_job(tx, self.job)
            attempts.insert_attempt(tx, self.row)
            self.is_stored, self._job_changes, self._row_changes = True, {}, {}
        elif self._row_changes and not attempts.update_attempt(tx, self.row, self._row_changes, fenced=fenced):
            raise LeaseLostError(f"attempt {self.row.number} of job {self.job.id} is driven by another process")
        for ordinal in sorted(self._entry_changes):
            attempts.write_entry(tx, self.row, self.entries[ordinal], is_new=ordinal not in self._journalled)
        if self._accepted:
            attempts.insert_members(tx, self.row, self._accepted)
        for position, changes in self._member_changes.items():
            attempts.update_member(tx, self.members[position], changes)
        for event, fields in self._events:
            self._append(tx, event, fields)
        if self._job_changes:
            jobs.update_job(tx, self.job.id, self._job_changes)
        if self._follower is not None:
            attempts.insert_attempt(tx, self._follower)
            self._is_followed = True
        self._journalled |= self._entry_changes
        self._entry_changes, self._member_changes, self._accepted, self._events = set(), {}, (), []
        self._job_changes, self._row_changes, self._follower = {}, {}, None

    @property
    def is_followed(self) -> bool:
        """Whether this attempt has ended for another one to begin."""
        return self._is_followed

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._job_changes or self._row_changes or self._member_changes or self._events)

    def _append(self, tx: Connection, event: type[JobEvent], fields: Mapping[str, Any]) -> None:
        self.change_job(sequence=self.job.sequence + 1)
        if fields.get("corrects"):
            fields = {**fields, "corrects": events.last_terminal_id(tx, self.job.id)}
        elif "corrects" in fields:
            fields = {**fields, "corrects": None}
        made = event(
            id=secrets.token_hex(12),
            ref=self.ref,
            sequence=self.job.sequence,
            occurred_at=self.core.clock.now(),
            provider=self.row.provider,
            attempt=self.row.number,
            user_data=self.job.user_data,
            **{"raw": self.raw, **fields},
        )
        events.append_event(tx, made)
