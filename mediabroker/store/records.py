"""Rows as frozen values, the typed face of the tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Row

from mediabroker.errors import InvalidJobError, JobError
from mediabroker.jobs import JobSpec, is_known_kind, result_type_of
from mediabroker.models import Value
from mediabroker.refs import MediaURI
from mediabroker.results import Frames, JobResult, Transfer
from mediabroker.spi import Member, MemberStatus
from mediabroker.states import JobState, MergeKey

__all__ = ["AttemptRecord", "CallRecord", "JobRecord", "MemberRecord", "Placement", "Route"]


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


@dataclass(frozen=True)
class JobRecord:
    """One job as stored. `spec` is None for one adopted by its reference, and where this process has no class that
    takes it: the kind is not defined here, or an earlier release took more."""

    id: str
    kind: str
    spec: JobSpec[Any] | None
    options: tuple[dict[str, JsonValue], ...]
    state: JobState
    phase: str | None
    hold_reason: str | None
    progress: float | None
    progress_at: datetime | None
    frames: Frames | None
    transfer: Transfer | None
    route: Route
    cancel_requested_at: datetime | None
    deadline_at: datetime | None
    queue_timeout_s: float | None
    inferred: bool
    error: JobError | None
    result: JobResult | None
    user_data: JsonValue
    fingerprint: str | None
    idempotency_key: str | None
    sequence: int
    created_at: datetime
    finished_at: datetime | None

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
    state: JobState
    error: JobError | None
    result: JsonValue
    started_at: datetime
    queued_at: datetime | None
    """When it last came into the provider's queue."""
    stop_asked_at: datetime | None
    ended_at: datetime | None
    placement: Placement
    staged_at: datetime | None
    cleared_at: datetime | None
    lease_owner: str | None
    lease_epoch: int
    lease_until: datetime | None

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
    def of(cls, row: Row[Any], kind: str) -> MemberRecord:
        member = Member(
            role=row.role,
            native_id=row.native_id,
            required=row.required,
            output=MediaURI(row.output) if row.output else None,
        )
        status = MemberStatus(
            member=member,
            state=JobState(row.state),
            phase=row.phase,
            progress=row.progress,
            frames=Frames.model_validate(row.frames) if row.frames else None,
            error=_error(row.error),
            result=_result(kind, row.result),
            raw=row.raw,
        )
        key = MergeKey(row.vendor_attempt, row.rank, row.sub_rank)
        return cls(row.job_id, row.attempt, row.position, status, key, row.not_found_at)


@dataclass(frozen=True)
class CallRecord:
    """One journalled call of a submit flow."""

    ordinal: int
    step: str
    operation: str
    effect: str
    digest: str
    status: str
    reply: Any
    error: Any
    sends: int
    sent_at: datetime | None
    searched_at: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> CallRecord:
        return cls(**{name: row._mapping[name] for name in cls.__dataclass_fields__})


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
