"""The transcoding service's words in ours: a status as an observation, several as one attempt, messages as hints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, unquote

from pydantic import BaseModel, Field, JsonValue, ValidationError

from mediabroker.absent import Absent
from mediabroker.errors import ErrorCode, InvalidJobError, JobError
from mediabroker.refs import MediaURI
from mediabroker.results import Item, Output, VideoResult
from mediabroker.spi import Member, MemberStatus, Observation, fold_members
from mediabroker.states import JobState
from mediabroker_aws.transcoder.status import SOURCE, WORK, LostInvocation, Status
from mediabroker_aws.transcoder.wire import TranscodeRequest

__all__ = [
    "build_refused",
    "fold_files",
    "observe",
    "observe_existing",
    "observe_refused",
    "parse_message",
]

_NOT_MP4, _NO_NAME = "not-mp4", "no-name"
"""Codes of files that the service does not take: known from their key alone."""
_REFUSALS: Mapping[str, tuple[ErrorCode, str]] = {
    _NOT_MP4: (ErrorCode.MEDIA_UNSUPPORTED, "not .mp4"),
    _NO_NAME: (ErrorCode.INVALID_SPEC, "no output of it would have a safe and legal name of its own"),
}

_STATES: Mapping[str, tuple[JobState, int]] = {
    "queued": (JobState.QUEUED, 0),
    "running": (JobState.RUNNING, 0),
    "publishing": (JobState.RUNNING, 1),
    "succeeded": (JobState.SUCCEEDED, 0),
    "failed": (JobState.FAILED, 0),
    "cancelled": (JobState.CANCELLED, 0),
}
_KEY_LIMIT_BYTES = 1024
_EVENT_AGE_S = 21_600
"""How long Lambda tries to run an asynchronous invocation at most.

Source: AWS Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".
"""


def observe(work: str, reply: Mapping[str, Any], *, silent_after_s: float) -> Observation:
    """The work of that id, as its status says."""
    status = Status.model_validate(reply["status"])
    state, sub_rank = _STATES[status.state]
    error = status.error
    if lost := _lost(status, state, reply["age_s"], silent_after_s):
        state, error = JobState.FAILED, lost
    if state is JobState.CANCELLED:
        error = JobError.of(ErrorCode.CANCELLED, "cancelled")
    return Observation(
        native_id=work,
        state=state,
        phase=status.state,
        vendor_attempt=status.attempts,
        sub_rank=sub_rank,
        progress=1.0 if state is JobState.SUCCEEDED else status.progress or 0.0,
        error=error,
        result=_result(status, state, error),
        raw=dict(reply["status"]),
    )


def _lost(status: Status, state: JobState, age_s: float, silent_after_s: float) -> JobError | None:
    """Why nobody will end a work whose status was written so long ago; None: somebody may."""
    if state is JobState.RUNNING and age_s > silent_after_s:
        return JobError.of(ErrorCode.WORKER_CRASHED, f"its worker has said nothing for {age_s:.0f} s")
    if state is JobState.QUEUED and age_s > _EVENT_AGE_S + silent_after_s:
        code = ErrorCode.WORKER_CRASHED if status.attempts else ErrorCode.CAPACITY
        return JobError.of(code, f"no worker has come for {age_s:.0f} s, and Lambda gives up after {_EVENT_AGE_S} s")
    return None


def _result(status: Status, state: JobState, error: JobError | None) -> VideoResult | None:
    if not state.is_terminal:
        return None
    done: Literal["ok", "exist"] = "exist" if status.existed else "ok"
    outcome: Literal["ok", "exist", "failed"] = done if state is JobState.SUCCEEDED else "failed"
    item = Item(source=status.source, outcome=outcome, output=status.output, error=error)
    made = status.result if state is JobState.SUCCEEDED and status.result else VideoResult()
    outputs = made.outputs or ((Output(uri=status.output),) if state is JobState.SUCCEEDED else ())
    return made.model_copy(update={"outputs": outputs, "items": (item,)})


def observe_existing(work: str, output: MediaURI) -> Observation:
    """No status is left of the work of that id, and its output is there; of what source it is, nobody says."""
    result = VideoResult(outputs=(Output(uri=output),))
    raw: JsonValue = {"status": "exist", "dst": str(output)}
    return Observation(native_id=work, state=JobState.SUCCEEDED, phase="exist", progress=1.0, result=result, raw=raw)


def build_refused(role: str, bucket: str, key: str, why: str) -> Member:
    """Return the member of a file that the service does not take. Its key may be one that no `MediaURI` can hold."""
    source = f"s3://{bucket}/{quote(key)}"
    code = _NOT_MP4 if why == "not .mp4" else _NO_NAME
    return Member(role=role, native_id=source, absent=Absent(reason="rejected", code=code, source=source))


def _source_of(uri: str) -> MediaURI:
    """Return the source that such a member names; as it is quoted there, where nothing else can be shown."""
    try:
        return MediaURI(unquote(uri))
    except InvalidJobError:
        bucket, _, quoted = uri.removeprefix("s3://").partition("/")
        return MediaURI(f"s3://{bucket}/{quoted[:_KEY_LIMIT_BYTES]}")


def observe_refused(member: Member, absent: Absent) -> Observation:
    """Return what is known of a file that the service does not take."""
    source = _source_of(absent.source or member.native_id)
    code, reason = _REFUSALS[absent.code or _NO_NAME]
    error = JobError.of(code, reason, provider_code=reason)
    item = Item(source=source, outcome="failed", error=error)
    return Observation(
        native_id=member.native_id,
        state=JobState.FAILED,
        phase="error",
        error=error,
        result=VideoResult(items=(item,)),
        raw={"error": reason, "src": str(source)},
    )


def fold_files(members: Sequence[MemberStatus]) -> Observation:
    """All files as one: over when each of them is, and `PARTIAL` when some of several have failed."""
    if not members:
        return fold_members(members)
    progress = sum(1.0 if each.state.is_terminal else each.progress or 0.0 for each in members) / len(members)
    living = [each for each in members if not each.state.is_terminal]
    if living:
        begun = len(living) < len(members) or any(each.state is JobState.RUNNING for each in living)
        state = JobState.RUNNING if begun else JobState.QUEUED
        busiest = max(living, key=lambda each: each.state.rank)
        return _folded(members, state, progress, phase=busiest.phase, raw=busiest.raw)
    failed = [each for each in members if each.state is JobState.FAILED]
    cancelled = [each for each in members if each.state is JobState.CANCELLED]
    result = _joined(members)
    if cancelled:
        error = JobError.of(ErrorCode.CANCELLED, f"{len(cancelled)} of {len(members)} were cancelled")
        return _folded(members, JobState.CANCELLED, progress, error=error, result=result, raw=cancelled[0].raw)
    if not failed:
        return _folded(members, JobState.SUCCEEDED, 1.0, result=result, raw=members[-1].raw)
    error = failed[0].error or JobError.of(ErrorCode.UNKNOWN, "failed without a word")
    if len(members) > 1:
        said = f"{len(failed)} of {len(members)} files failed; the first: {error.message}"
        error = JobError.of(ErrorCode.PARTIAL, said)
    return _folded(members, JobState.FAILED, progress, error=error, result=result, raw=failed[0].raw)


def _folded(members: Sequence[MemberStatus], state: JobState, progress: float, **more: Any) -> Observation:
    return Observation(native_id=members[-1].member.native_id, state=state, progress=progress, **more)


def _joined(members: Sequence[MemberStatus]) -> VideoResult | None:
    known = [each.result for each in members if isinstance(each.result, VideoResult)]
    if not known:
        return None
    outputs = tuple(output for each in known for output in each.outputs)
    items = tuple(item for each in known for item in each.items)
    base = known[0] if len(members) == 1 else VideoResult()
    return base.model_copy(update={"outputs": outputs, "items": items})


class _Completion(BaseModel):
    """What the worker sends; fields that a later release adds are ignored."""

    source: Literal["mediabroker.transcoder"]
    region: str | None = None
    id: str = Field(pattern=WORK, max_length=1200)
    state: str = Field(max_length=64)
    request: TranscodeRequest


def parse_message(message: Mapping[str, JsonValue], *, region: str | None) -> list[Observation] | None:
    """The work that a completion, or Lambda's record of a failed invocation, speaks of; None: not of this service."""
    try:
        if message.get("source") != SOURCE:
            lost = LostInvocation.model_validate(message)
            where, work = lost.context.arn.split(":")[3:4], lost.payload.work
            return None if region and where != [region] else [Observation(native_id=work, phase="lost by Lambda")]
        told = _Completion.model_validate(message)
    except (ValidationError, ValueError):
        return None
    if region and told.region not in (None, region):
        return None
    origin = told.request.origin
    if origin is None:
        return []  # started by a plain request to the service, without this SDK
    raw: JsonValue = {"id": told.id, "request": told.request.fields()}
    return [Observation(native_id=told.id, phase=told.state, token=origin and origin.token, origin=origin, raw=raw)]
