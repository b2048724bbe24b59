"""Rows as frozen values, the typed face of the tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Row

from mediabroker.absent import Absent
from mediabroker.errors import InvalidJobError, JobError
from mediabroker.jobs import JobSpec, is_known_kind, result_type_of
from mediabroker.models import Value
from mediabroker.refs import MediaURI
from mediabroker.results import Frames, JobResult, Transfer
from mediabroker.spi import Member, MemberStatus
from mediabroker.states import JobState, MergeKey

__all__ = ["AttemptRecord", "JobRecord", "MemberRecord", "Placement", "Route"]


class Route(Value, frozen=True):
    """The providers that may be tried for a job, in order, and how often in all."""

    providers: tuple[str, ...] = ()
    max_attempts: int = 1


class Placement(Value, frozen=True):
    """Where an attempt's provider finds the input and puts the output, where that is not where the job has them.

    `target` is where the output must go in the end, `folders` what is to be cleared after the attempt.
    """

    input: MediaURI | None = None
    output: MediaURI | None = None
    target: MediaURI | None = None
    overwrite: bool = False
    folders: tuple[MediaURI, ...] = ()
    undelivered: str | None = None
    """Why the broker may not copy the output of an adopted job to `target`; it stays where the vendor wrote it."""


@dataclass(frozen=True)
class JobRecord:
    """One job as stored. `spec` is None for one adopted by its reference, and where this process has no class that
    takes it: the kind is not defined here, or an earlier release took more."""

    id: str
    kind: str
    spec: JobSpec[Any] | None
    created_at: datetime
    options: tuple[dict[str, JsonValue], ...] = ()
    state: JobState = JobState.SUBMITTING
    phase: str | None = None
    hold_reason: str | None = None
    progress: float | None = None
    progress_at: datetime | None = None
    frames: Frames | None = None
    transfer: Transfer | None = None
    route: Route = field(default_factory=Route)
    cancel_requested_at: datetime | None = None
    deadline_at: datetime | None = None
    queue_timeout_s: float | None = None
    inferred: bool = False
    error: JobError | None = None
    result: JobResult | None = None
    user_data: JsonValue = None
    fingerprint: str | None = None
    idempotency_key: str | None = None
    sequence: int = 0
    finished_at: datetime | None = None
    retry_of: str | None = None
    """The job that this one retries."""

    @classmethod
    def of(cls, row: Row[Any]) -> JobRecord:
        fields = dict(row._mapping)
        fields.pop("output")
        result = fields.pop("result")
        fields |= {
            "spec": _spec(row),
            "options": tuple(row.options or ()),
            "state": JobState(row.state),
            "frames": Frames.model_validate(row.frames) if row.frames else None,
            "transfer": Transfer.model_validate(row.transfer) if row.transfer else None,
            "route": Route.model_validate(row.route or {}),
            "error": _error(row.error),
            "result": _result(row.kind, result),
        }
        return cls(**fields)


@dataclass(frozen=True)
class AttemptRecord:
    """One try on one provider, under one token and at most one lease."""

    job_id: str
    number: int
    token: str
    provider: str
    account: str | None
    region: str | None
    flow_version: int
    started_at: datetime
    state: JobState = JobState.SUBMITTING
    error: JobError | None = None
    result: JsonValue = None
    queued_at: datetime | None = None
    """When it last came into the provider's queue."""
    stop_asked_at: datetime | None = None
    ended_at: datetime | None = None
    placement: Placement = field(default_factory=Placement)
    staged_at: datetime | None = None
    cleared_at: datetime | None = None
    lease_owner: str | None = None
    lease_epoch: int = 0
    lease_until: datetime | None = None
    resume_at: datetime | None = None
    """Before then a held submission is not tried again."""
    holds: int = 0
    """How often in a row the vendor has refused it for now; the backoff grows with it."""
    late_search_at: datetime | None = None
    """When the vendor is searched next for a second job of a resent create; None: it need not be."""

    @classmethod
    def of(cls, row: Row[Any]) -> AttemptRecord:
        parsed = {
            "state": JobState(row.state),
            "error": _error(row.error),
            "placement": Placement.model_validate(row.placement or {}),
        }
        return cls(**{**row._mapping, **parsed})


@dataclass(frozen=True)
class MemberRecord:
    """One vendor job with the merged truth about it."""

    job_id: str
    attempt: int
    position: int
    status: MemberStatus
    key: MergeKey
    not_found_at: datetime | None

    @classmethod
    def new(cls, attempt: AttemptRecord, position: int, member: Member) -> MemberRecord:
        """Return the record of a vendor job that was accepted just now."""
        status = MemberStatus(member=member, state=JobState.QUEUED)
        return cls(attempt.job_id, attempt.number, position, status, MergeKey.of(JobState.QUEUED), None)

    @classmethod
    def of(cls, row: Row[Any], kind: str) -> MemberRecord:
        member = Member(
            role=row.role,
            native_id=row.native_id,
            required=row.required,
            output=MediaURI(row.output) if row.output else None,
            absent=Absent.model_validate(row.absent) if row.absent else None,
        )
        status = MemberStatus(
            member=member,
            state=JobState(row.state),
            phase=row.phase,
            hold_reason=row.hold_reason,
            progress=row.progress,
            frames=Frames.model_validate(row.frames) if row.frames else None,
            error=_error(row.error),
            result=_result(kind, row.result),
            raw=row.raw,
        )
        key = MergeKey(row.vendor_attempt, row.rank, row.sub_rank)
        return cls(row.job_id, row.attempt, row.position, status, key, row.not_found_at)


def _spec(row: Row[Any]) -> JobSpec[Any] | None:
    if row.spec is None or not is_known_kind(row.kind):
        return None
    try:
        return JobSpec.parse(row.spec)
    except InvalidJobError:
        # An earlier release took what this one refuses; one such job must not hide all others.
        return None


def _result(kind: str, stored: Any) -> JobResult | None:
    if stored is None:
        return None
    cls = result_type_of(kind)
    # Of a kind that is not defined here only what all results have can be read.
    readable = stored if is_known_kind(kind) else {name: stored[name] for name in cls.model_fields if name in stored}
    return cls.model_validate(readable)


def _error(stored: Any) -> JobError | None:
    return JobError.model_validate(stored) if stored is not None else None
