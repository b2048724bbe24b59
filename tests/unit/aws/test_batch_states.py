"""Batch's words in ours: every one of the table, and those that it does not list."""

from __future__ import annotations

from typing import Any

import pytest

from mediabroker.errors import ErrorCode, ProviderError, ThrottledError
from mediabroker.states import JobState, MergeKey
from mediabroker_aws.batch.states import explain, observe, refusal_error

ENDED = "Essential container in task exited"


def failed(status_reason: str | None, *, reason: str | None = None, exit_code: int | None = None, **more: Any) -> Any:
    container = {name: value for name, value in (("reason", reason), ("exitCode", exit_code)) if value is not None}
    return {"jobId": "j", "status": "FAILED", "statusReason": status_reason, "container": container, **more}


@pytest.mark.parametrize(
    ("detail", "code", "blame"),
    [
        (failed("Host EC2 (instance i-0) terminated."), ErrorCode.PREEMPTED, "capacity"),
        (failed(ENDED, reason="OutOfMemoryError: killed", exit_code=137), ErrorCode.OUT_OF_RESOURCES, "capacity"),
        (failed("Task failed to start", reason="CannotPullContainerError: x"), ErrorCode.PROVIDER_INTERNAL, "provider"),
        (failed("Job attempt duration exceeded timeout", exit_code=137), ErrorCode.TIMEOUT, "capacity"),
        (failed("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", isCancelled=True), ErrorCode.UNSUPPORTED, "caller"),
        (failed("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS"), ErrorCode.AUTH, "caller"),
        (failed("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"), ErrorCode.CAPACITY, "capacity"),
        (failed("cancelled by mediabroker"), ErrorCode.CANCELLED, "caller"),
        (failed("stopped in the console", isTerminated=True), ErrorCode.CANCELLED, "caller"),
        (failed(ENDED, exit_code=64), ErrorCode.INVALID_SPEC, "caller"),
        (failed(ENDED, exit_code=65), ErrorCode.MEDIA_CORRUPT, "media"),
        (failed(ENDED, exit_code=73), ErrorCode.OUTPUT_DENIED, "caller"),
        (failed(ENDED, exit_code=75), ErrorCode.PREEMPTED, "capacity"),
        (failed(ENDED, exit_code=139), ErrorCode.WORKER_CRASHED, "provider"),
        (failed("something new"), ErrorCode.UNKNOWN, "unknown"),
        (failed(None), ErrorCode.UNKNOWN, "unknown"),
    ],
)
def test_a_failure_has_a_code_and_somebody_to_blame(detail: Any, code: ErrorCode, blame: str) -> None:
    error = explain(detail)
    assert (error.code, error.blame) == (code, blame)
    assert error.message
    expected = JobState.CANCELLED if code is ErrorCode.CANCELLED else JobState.FAILED
    assert observe(detail, None).state is expected


def test_a_vendors_retry_is_later_than_the_attempt_before_it() -> None:
    def key(status: str, *attempts: dict[str, int]) -> MergeKey:
        seen = observe({"jobId": "j", "status": status, "attempts": list(attempts)}, None)
        assert seen.state
        return MergeKey.of(seen.state, vendor_attempt=seen.vendor_attempt, sub_rank=seen.sub_rank)

    over = {"startedAt": 1, "stoppedAt": 2}
    told = [
        key("SUBMITTED"),
        key("PENDING"),
        key("RUNNABLE"),
        key("STARTING"),
        key("RUNNING", {"startedAt": 1}),
        key("RUNNABLE", over),
        key("RUNNING", over),
        key("SUCCEEDED", over, over),
    ]
    assert told == sorted(told)
    assert len(set(told)) == len(told)


def test_an_unheard_of_word_keeps_the_state(caplog: pytest.LogCaptureFixture) -> None:
    seen = observe({"jobId": "j", "status": "SCHEDULED"}, None)
    assert (seen.state, seen.phase) == (None, "SCHEDULED")
    assert "unheard of" in caplog.text


def test_an_array_runs_as_soon_as_a_child_has_started() -> None:
    def state(**summary: int) -> JobState | None:
        array = {"size": 3, "statusSummary": {"RUNNABLE": 0, "SUCCEEDED": 0, **summary}}
        return observe({"jobId": "j", "status": "PENDING", "arrayProperties": array}, None).state

    assert state(RUNNABLE=3) is JobState.QUEUED
    assert state(RUNNABLE=2, STARTING=1) is JobState.RUNNING
    assert state(RUNNABLE=2, SUCCEEDED=1) is JobState.RUNNING


def test_a_blocked_job_says_what_blocks_it() -> None:
    blocked = {"jobId": "j", "status": "RUNNABLE", "statusReason": "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"}
    seen = observe(blocked, None)
    assert seen.phase == "runnable: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    assert seen.hold_reason == "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE"
    assert observe({**blocked, "status": "RUNNING"}, None).hold_reason is None


def test_refusals_have_codes() -> None:
    assert refusal_error(ThrottledError("slow")).code is ErrorCode.RATE_LIMITED
    assert refusal_error(ProviderError("no", provider_code="ClientException")).code is ErrorCode.INVALID_SPEC
    assert refusal_error(ProviderError("no", provider_code="INPUT_DENIED")).code is ErrorCode.INPUT_DENIED
