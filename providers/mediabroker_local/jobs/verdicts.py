"""What this machine's words mean: refusals, states and exit statuses as the core's own values. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from mediabroker.errors import ErrorCode, JobError, ProviderError
from mediabroker.jobs import result_type_of
from mediabroker.media.ffmpeg.failures import readable_tail
from mediabroker.results import Frames
from mediabroker.spi import Observation, Reply
from mediabroker.states import JobState

__all__ = ["crash_error", "parse_observation", "refusal_error"]

_REFUSALS: Mapping[str, ErrorCode] = {
    "InvalidToken": ErrorCode.INVALID_SPEC,
    "UnknownJob": ErrorCode.LOST,
    "NoSpace": ErrorCode.OUT_OF_RESOURCES,
    "Busy": ErrorCode.PROVIDER_INTERNAL,
    "FolderUnusable": ErrorCode.PROVIDER_INTERNAL,
    **{code.value: code for code in ErrorCode},
}
"""Why this machine refuses a call: its own words, and those that files are refused with (`admission`)."""

_SIGNALS: Mapping[int, tuple[ErrorCode, str]] = {
    signal.SIGKILL: (ErrorCode.WORKER_CRASHED, "was killed, most likely because memory ran out"),
    signal.SIGXCPU: (ErrorCode.OUT_OF_RESOURCES, "used up its processor time"),
    signal.SIGXFSZ: (ErrorCode.OUT_OF_RESOURCES, "wrote a file larger than it may"),
    signal.SIGTERM: (ErrorCode.WORKER_CRASHED, "was terminated from outside"),
}
_SIGNALLED = 128
"""A worker whose engine was killed by signal n ends with 128 + n, as shells do."""


def refusal_error(failure: ProviderError) -> JobError:
    """The job error of a refused call."""
    code = _REFUSALS.get(failure.provider_code or "", ErrorCode.PROVIDER_INTERNAL)
    return JobError.of(code, str(failure), provider_code=failure.provider_code, raw=failure.raw)


def parse_observation(entry: Mapping[str, Any]) -> Observation:
    """One entry of a `describe` reply: the job's state as its folder tells it."""
    token = entry["job"]
    if entry["state"] is None:
        return Observation(native_id=token, not_found=True)
    kind, attempt = entry["kind"], entry["attempt"]
    known = entry["state"] in JobState.__members__
    result, frames = entry.get("result"), entry.get("frames")
    return Observation(
        native_id=token,
        token=token,
        state=JobState(entry["state"]) if known else None,
        phase=_phase(entry) if known else entry["state"],
        vendor_attempt=max(0, attempt - 1),
        progress=entry.get("progress"),
        frames=Frames.model_validate(frames) if frames else None,
        error=_error(entry),
        result=result_type_of(kind).model_validate(result) if result else None,
        raw=dict(entry),
    )


def _phase(entry: Mapping[str, Any]) -> str | None:
    phase: str | None = entry.get("phase")
    ahead = entry.get("ahead")
    return f"{phase}, {ahead} ahead" if ahead and entry["state"] == "QUEUED" else phase


def _error(entry: Mapping[str, Any]) -> JobError | None:
    if error := entry.get("error"):
        return JobError.model_validate(error)
    if last_words := entry.get("exit"):
        return crash_error(last_words, entry["attempt"])
    if entry["state"] == JobState.CANCELLED:
        return JobError.of(ErrorCode.CANCELLED, "cancelled on request")
    return None


def crash_error(last_words: Reply, attempts: int) -> JobError:
    """The error of a job whose worker died without saying why, `attempts` times in a row."""
    status, log = last_words.get("status"), last_words.get("log")
    code, how = ErrorCode.WORKER_CRASHED, f"ended with exit code {status}"
    if not isinstance(status, int):
        how = "vanished together with its supervisor"
    elif number := -status if status < 0 else max(0, status - _SIGNALLED):
        code, how = _SIGNALS.get(number, (code, f"was killed by signal {number}"))
    times = f"{attempts} times" if attempts > 1 else "once"
    last_line = f": {readable_tail(str(log), lines=1).strip()}" if log else ""
    return JobError.of(
        code, f"the worker {how}, {times}{last_line}", provider_code=f"exit {status}", raw=dict(last_words)
    )
