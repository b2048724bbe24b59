"""What a provider and the broker say to each other about an attempt and its vendor jobs, called members."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue, SerializeAsAny, field_validator

from mediabroker.absent import Absent
from mediabroker.errors import JobError
from mediabroker.jobs import JobSpec
from mediabroker.models import Value
from mediabroker.redaction import redact_value
from mediabroker.refs import MediaURI
from mediabroker.results import Frames, JobResult
from mediabroker.states import JobState, fold_states

__all__ = ["Member", "MemberStatus", "Observation", "Origin", "Recovered", "SubmitContext", "Submitted", "fold_members"]


class Origin(Value, frozen=True):
    """What travels with a vendor's job in tags, environment or user data, so that any host can take the job over.

    The token is derived from the job id and the attempt's number. What a message says of it is only a hint.
    """

    job_id: str
    kind: str
    token: str
    attempt: int = 1
    output: MediaURI | None = None
    deliver_to: MediaURI | None = None
    """Where the broker takes the output in the end, where the vendor writes it somewhere else."""
    overwrite: bool = False
    user_data: JsonValue = None


class SubmitContext(Value, frozen=True):
    """What the broker adds to a spec: identity, the staged input, and where to write."""

    job_id: str
    attempt: int
    token: str
    """Lower-case letters and digits, unique to the attempt, stable across crashes."""
    input: MediaURI
    output: MediaURI | None = None
    deliver_to: MediaURI | None = None
    """Where the broker copies the output in the end, where that is not `output`."""
    sent_at: datetime | None = None
    """For `find` alone: when the call was first sent, aware UTC."""
    hints: tuple[str, ...] = ()
    """For `find` alone: native ids that callbacks with this attempt's token have named; a hint is no proof."""

    def token_of(self, step: str) -> str:
        """The token of one `create` inside the attempt."""
        return f"{self.token}-{step}"

    def origin(self, spec: JobSpec[Any]) -> Origin:
        """What to send along with each vendor job, where the vendor keeps such things."""
        return Origin(
            job_id=self.job_id,
            kind=spec.kind,
            token=self.token,
            attempt=self.attempt,
            output=self.output,
            deliver_to=self.deliver_to,
            overwrite=spec.overwrite if self.deliver_to else False,
            user_data=spec.user_data,
        )


class Member(Value, frozen=True):
    """One vendor job inside an attempt. Members that are not `required` only feed progress.

    `absent` says why there is no vendor job; `native_id` is then any name that no other member of the attempt has.
    """

    role: str
    native_id: str
    required: bool = True
    output: MediaURI | None = None
    absent: Absent | None = None


class Recovered(Value, frozen=True):
    """An attempt that another host has submitted, as the vendor's own answers describe it.

    `proof` says what confirms the origin. `vendor`: the account or service that this provider is configured for.
    `token`: it was read from a place that the message named, such as a bucket that the sender may own; the broker then
    adopts the job only if the token was made under its key.
    """

    origin: Origin
    members: tuple[Member, ...]
    proof: Literal["vendor", "token"] = "vendor"


class Submitted(Value, frozen=True):
    """All vendor jobs of an attempt, accepted."""

    members: tuple[Member, ...]


class Observation(Value, frozen=True):
    """What the vendor says of one vendor job, in our words.

    `state=None` keeps the state: the vendor's word is in no table and becomes `phase`. `vendor_attempt` counts the
    vendor's own retries and `sub_rank` orders words within one state. `progress` runs from 0 to 1.
    """

    native_id: str
    state: JobState | None = None
    phase: str | None = None
    hold_reason: str | None = None
    """Why the vendor does not go on with it, where the vendor says so."""
    vendor_attempt: int = 0
    sub_rank: int = 0
    progress: float | None = None
    frames: Frames | None = None
    error: JobError | None = None
    result: SerializeAsAny[JobResult] | None = None
    not_found: bool = False
    token: str | None = None
    """Of a callback: the attempt's token, where the message bears it. It finds the job before its ids are stored."""
    origin: Origin | None = None
    """Of an answer: the job's origin as the vendor keeps it. Of a callback: what the message claims, never believed."""
    raw: JsonValue = None

    @field_validator("phase", "hold_reason", "raw", mode="before")
    @classmethod
    def _without_secrets(cls, said: Any) -> Any:
        return redact_value(said)


class MemberStatus(Value, frozen=True):
    """A member with the merged truth about it."""

    member: Member
    state: JobState
    phase: str | None = None
    hold_reason: str | None = None
    progress: float | None = None
    frames: Frames | None = None
    error: JobError | None = None
    result: SerializeAsAny[JobResult] | None = None
    raw: JsonValue = None

    @property
    def required(self) -> bool:
        return self.member.required


def fold_members(members: Sequence[MemberStatus]) -> Observation:
    """The default fold: the state of `fold_states`, mean progress, the first failure, all outputs in order."""
    required = [status for status in members if status.required]
    state = fold_states(members)
    blamed = next((status for status in required if status.state is state and status.error), None)
    busiest = max(required, key=lambda status: status.state.rank, default=None)
    known = [status.progress for status in members if status.progress is not None]
    results = [status.result for status in required if status.result is not None]
    return Observation(
        native_id=required[-1].member.native_id if required else "",
        state=state,
        phase=busiest.phase if busiest else None,
        hold_reason=next((each.hold_reason for each in members if each.hold_reason), None),
        progress=sum(known) / len(known) if known else None,
        frames=busiest.frames if busiest else None,
        error=blamed.error if blamed else None,
        result=_joined(results),
        raw=(blamed or busiest).raw if busiest else None,
    )


def _joined(results: Sequence[JobResult]) -> JobResult | None:
    if len(results) <= 1:
        return results[0] if results else None
    outputs = tuple(output for result in results for output in result.outputs)
    items = tuple(item for result in results for item in result.items)
    return results[0].model_copy(update={"outputs": outputs, "items": items})
