"""The closed union of what can happen to a job, fit for `match`.

    match event:
        case JobSucceeded(result=result): ...
        case JobFailed(error=error) if error.retryable: ...

Every event has a stable `id` (the same when it is offered again) and a `sequence` that only grows within its job.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, JsonValue, SerializeAsAny, TypeAdapter

from mediabroker.errors import JobError
from mediabroker.jobs import result_type_of
from mediabroker.models import Value
from mediabroker.refs import JobRef
from mediabroker.results import Frames, JobResult

__all__ = [
    "JobAttemptFailed",
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobProgressed",
    "JobQueued",
    "JobStarted",
    "JobSucceeded",
    "Unrecognised",
    "event_from_json",
]


def _utc(at: datetime) -> datetime:
    return at.astimezone(timezone.utc)


class _Event(Value, frozen=True):
    """What every event carries. `occurred_at` is aware UTC; `raw` is the vendor's own payload."""

    id: str
    ref: JobRef
    sequence: int = Field(ge=1)
    occurred_at: Annotated[AwareDatetime, AfterValidator(_utc)]
    provider: str | None = None
    attempt: int | None = None
    user_data: JsonValue = None
    raw: JsonValue = None


class JobQueued(_Event, frozen=True):
    """The provider has accepted the job; or its own retry has put it back into the queue."""

    type: Literal["job_queued"] = "job_queued"


class JobStarted(_Event, frozen=True):
    """Work on the job has begun."""

    type: Literal["job_started"] = "job_started"


class JobProgressed(_Event, frozen=True):
    """More is done; `progress` runs from 0 to 1 and never back. At most one a second per job."""

    type: Literal["job_progressed"] = "job_progressed"
    progress: float = Field(ge=0, le=1)
    phase: str | None = None
    frames: Frames | None = None


class JobAttemptFailed(_Event, frozen=True):
    """One attempt failed and another one follows."""

    type: Literal["job_attempt_failed"] = "job_attempt_failed"
    error: JobError


class JobSucceeded(_Event, frozen=True):
    """The bytes are where they were asked for."""

    type: Literal["job_succeeded"] = "job_succeeded"
    result: SerializeAsAny[JobResult]
    corrects: str | None = None
    """Id of the inferred terminal event that this one replaces."""


class JobFailed(_Event, frozen=True):
    """The job has failed for good. `inferred`: concluded from silence, so vendor evidence may still correct it."""

    type: Literal["job_failed"] = "job_failed"
    error: JobError
    result: SerializeAsAny[JobResult] | None = None
    inferred: bool = False
    corrects: str | None = None


class JobCancelled(_Event, frozen=True):
    """The job ended because somebody cancelled it."""

    type: Literal["job_cancelled"] = "job_cancelled"
    corrects: str | None = None


class Unrecognised(_Event, frozen=True):
    """The vendor said something of this job that no table lists; `raw` holds it."""

    type: Literal["unrecognised"] = "unrecognised"


JobEvent = (
    JobQueued | JobStarted | JobProgressed | JobAttemptFailed | JobSucceeded | JobFailed | JobCancelled | Unrecognised
)

_ADAPTER: TypeAdapter[JobEvent] = TypeAdapter(Annotated[JobEvent, Field(discriminator="type")])


def event_from_json(payload: Mapping[str, Any]) -> JobEvent:
    """The event that `event.model_dump(mode="json")` wrote, its result in the type that the job's kind names."""
    fields = dict(payload)
    result = fields.get("result")
    if result is not None:
        fields["result"] = result_type_of(fields["ref"]["kind"]).model_validate(result)
    return _ADAPTER.validate_python(fields)
