"""What Batch says of its jobs, in our words: pure functions and the tables they read.

Source: AWS Batch User Guide, "Job states", "Automated job retries", "Job timeouts", "Jobs stuck in RUNNABLE";
Amazon ECS Developer Guide, "Stopped tasks error codes". The worker's exit codes follow BSD's sysexits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mediabroker.errors import (
    AuthenticationError,
    ErrorCode,
    JobError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker.refs import MediaURI
from mediabroker.results import Output, VideoResult
from mediabroker.spi import MemberStatus, Observation, Origin
from mediabroker.states import JobState
from mediabroker_aws.batch.requests import CANCEL_REASON, ORIGIN

__all__ = ["explain", "fold_progress", "is_waiting_array", "observe", "parse_origin", "refusal_error", "unfinished"]

_log = logging.getLogger(__name__)

_STATES: Mapping[str, tuple[JobState, int]] = {
    "SUBMITTED": (JobState.QUEUED, 0),
    "PENDING": (JobState.QUEUED, 1),
    "RUNNABLE": (JobState.QUEUED, 2),
    "STARTING": (JobState.RUNNING, 0),
    "RUNNING": (JobState.RUNNING, 1),
    "SUCCEEDED": (JobState.SUCCEEDED, 0),
    "FAILED": (JobState.FAILED, 0),
}
"""With the order of the words within one state. Source: User Guide, "Job states"."""

_STARTED = ("STARTING", "RUNNING", "SUCCEEDED", "FAILED")

_WORDS: Sequence[tuple[str, ErrorCode]] = (
    ("Host EC2", ErrorCode.PREEMPTED),
    ("OutOfMemoryError", ErrorCode.OUT_OF_RESOURCES),
    ("Job attempt duration exceeded timeout", ErrorCode.TIMEOUT),
    ("CannotPullContainerError", ErrorCode.PROVIDER_INTERNAL),
    ("CannotPullImageManifestError", ErrorCode.PROVIDER_INTERNAL),
    ("CannotStartContainerError", ErrorCode.PROVIDER_INTERNAL),
    ("CannotCreateContainerError", ErrorCode.PROVIDER_INTERNAL),
    ("ResourceInitializationError", ErrorCode.PROVIDER_INTERNAL),
    ("CAPACITY:", ErrorCode.CAPACITY),
    ("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS", ErrorCode.AUTH),
    ("MISCONFIGURATION:", ErrorCode.UNSUPPORTED),
)
"""How a reason begins, and what it amounts to; the first that fits."""

_EXITS: Mapping[int, ErrorCode] = {
    64: ErrorCode.INVALID_SPEC,
    65: ErrorCode.MEDIA_CORRUPT,
    71: ErrorCode.OUT_OF_RESOURCES,
    73: ErrorCode.OUTPUT_DENIED,
    75: ErrorCode.PREEMPTED,
}

_REFUSALS: Sequence[tuple[type[ProviderError], ErrorCode]] = (
    (AuthenticationError, ErrorCode.AUTH),
    (ThrottledError, ErrorCode.RATE_LIMITED),
    (UnavailableError, ErrorCode.PROVIDER_INTERNAL),
    (SubmissionUnknownError, ErrorCode.UNKNOWN),
)


def observe(
    detail: Mapping[str, Any], output: MediaURI | None, *, cause: JobError | None = None, held: str | None = None
) -> Observation:
    """Return what one `JobDetail` says.

    Args:
        output: what the job makes, if it does.
        cause: why a child of this array failed.
        held: why the children of this array wait.
    """
    native_id, word = detail["jobId"], detail["status"]
    if word not in _STATES:
        _log.warning(
            "Batch says something unheard of (native_id %s, status %s)",
            native_id,
            word,
            extra={"native_id": native_id, "status": word},
        )
        return Observation(native_id=native_id, phase=word, raw=dict(detail))
    state, sub_rank = _STATES[word]
    summary = detail.get("arrayProperties", {}).get("statusSummary")
    if summary and state is JobState.QUEUED and any(summary.get(each) for each in _STARTED):
        state, sub_rank = JobState.RUNNING, 0  # an array's parent never runs; it is PENDING until all is over
    error = (cause or explain(detail)) if state is JobState.FAILED else None
    if error is not None and error.code is ErrorCode.CANCELLED:
        state = JobState.CANCELLED
    origin = parse_origin(detail)
    made = output or (origin.output if origin and not summary else None)
    return Observation(
        native_id=native_id,
        state=state,
        phase=_phase(detail, summary),
        hold_reason=held or (detail.get("statusReason") if word == "RUNNABLE" else None),
        vendor_attempt=sum("stoppedAt" in each for each in detail.get("attempts", ())),
        sub_rank=sub_rank,
        progress=_progress(detail, state, summary),
        error=error,
        result=VideoResult(outputs=(Output(uri=made),)) if made and state is JobState.SUCCEEDED else None,
        token=origin.token if origin else None,
        origin=origin,
        raw=dict(detail),
    )


def is_waiting_array(detail: Mapping[str, Any]) -> bool:
    """Whether children of an array wait for a machine and none has begun: the array itself bears no reason for that."""
    summary = detail.get("arrayProperties", {}).get("statusSummary") or {}
    return bool(summary.get("RUNNABLE")) and not any(summary.get(each) for each in _STARTED)


def _phase(detail: Mapping[str, Any], summary: Mapping[str, int] | None) -> str:
    if summary:
        return f"{summary.get('SUCCEEDED', 0)} of {detail['arrayProperties']['size']} slices"
    word = str(detail["status"]).lower()
    reason = detail.get("statusReason")
    return f"{word}: {reason}" if reason and word == "runnable" else word


def _progress(detail: Mapping[str, Any], state: JobState, summary: Mapping[str, int] | None) -> float | None:
    if summary:
        return summary.get("SUCCEEDED", 0) / int(detail["arrayProperties"]["size"])
    return {JobState.QUEUED: 0.0, JobState.SUCCEEDED: 1.0}.get(state)


def explain(detail: Mapping[str, Any]) -> JobError:
    """Why a FAILED job failed; code CANCELLED where somebody ended it."""
    reasons = [detail.get("statusReason"), detail.get("container", {}).get("reason")]
    said = [str(reason) for reason in reasons if reason]
    exit_code = detail.get("container", {}).get("exitCode")
    message = ": ".join(said) or "the job failed without a reason"
    if exit_code:
        message += f" (exit code {exit_code})"
    code = _code(detail, said, exit_code)
    provider_code = said[0] if said else None
    return JobError.of(code, message, provider_code=provider_code and provider_code[:200])


def _code(detail: Mapping[str, Any], said: Sequence[str], exit_code: int | None) -> ErrorCode:
    if any(reason.startswith(CANCEL_REASON) for reason in said):
        return ErrorCode.CANCELLED
    for start, code in _WORDS:
        if any(reason.startswith(start) for reason in said):
            return code
    if detail.get("isTerminated") or detail.get("isCancelled"):
        return ErrorCode.CANCELLED
    if exit_code:
        return _EXITS.get(exit_code, ErrorCode.WORKER_CRASHED)
    return ErrorCode.UNKNOWN


def fold_progress(members: Sequence[MemberStatus], *, last_weight: float) -> float | None:
    """How far the chain is: the last member counts `last_weight`, the others share the rest."""
    if len(members) < 2:
        return members[0].progress if members else None
    known = [status.progress or 0.0 for status in members]
    return (1 - last_weight) * sum(known[:-1]) / len(known[:-1]) + last_weight * known[-1]


def unfinished(detail: Mapping[str, Any]) -> bool:
    """Whether there is still something to stop."""
    return detail["status"] not in ("SUCCEEDED", "FAILED")


def parse_origin(detail: Mapping[str, Any]) -> Origin | None:
    """Whose job it is, from its environment; None: not ours."""
    for variable in detail.get("container", {}).get("environment", ()):
        if variable.get("name") == ORIGIN:
            try:
                return Origin.model_validate(json.loads(variable["value"]))
            except (KeyError, ValueError, ValidationError):
                return None
    return None


def refusal_error(failure: ProviderError) -> JobError:
    """The job error that a refused call amounts to."""
    named = failure.provider_code if failure.provider_code in ErrorCode.__members__ else None
    code = ErrorCode.INVALID_SPEC if failure.provider_code == "ClientException" else ErrorCode.PROVIDER_INTERNAL
    code = next((code for kind, code in _REFUSALS if isinstance(failure, kind)), code)
    return JobError.of(
        ErrorCode(named) if named else code,
        str(failure) or "refused without a word",
        provider_code=failure.provider_code,
        request_id=failure.request_id,
        raw=failure.raw,
    )
