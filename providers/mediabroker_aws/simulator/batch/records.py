"""A simulated job, and how Batch describes it. Source: AWS Batch API Reference, `JobDetail`, `JobSummary`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mediabroker_aws.simulator.batch.executors import Run

__all__ = ["ENDED", "STATUSES", "Job", "describe", "summarise"]

STATUSES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
ENDED = frozenset({"SUCCEEDED", "FAILED"})


@dataclass
class Job:
    """One job, an array's parent, or one of its children. Times are milliseconds of wall time, as Batch gives them."""

    id: str
    arn: str
    name: str
    queue: str
    definition: str
    created_ms: int
    command: tuple[str, ...]
    environment: dict[str, str]
    container: dict[str, Any]
    parameters: dict[str, str]
    retry: dict[str, Any]
    timeout: dict[str, Any] | None
    depends_on: list[dict[str, str]]
    tags: dict[str, str]
    propagate_tags: bool
    index: int | None = None
    parent: Job | None = None
    children: list[Job] = field(default_factory=list)
    status: str = "SUBMITTED"
    reason: str | None = None
    since_ms: int = 0
    started_ms: int | None = None
    stopped_ms: int | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    run: Run | None = None
    stopping: str | None = None
    """Why the running attempt is being stopped; its job will not be tried again."""
    kill_at_ms: int | None = None
    is_cancelled: bool = False
    is_terminated: bool = False

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


def describe(job: Job) -> dict[str, Any]:
    """A `JobDetail`, also the `detail` of an event; what is None does not travel."""
    last = job.attempts[-1]["container"] if job.attempts else {}
    container = {
        **job.container,
        **last,
        "command": list(job.command),
        "environment": [{"name": name, "value": value} for name, value in job.environment.items()],
    }
    return {
        "jobArn": job.arn,
        "jobName": job.name,
        "jobId": job.id,
        "jobQueue": job.queue,
        "jobDefinition": job.definition,
        "status": job.status,
        "statusReason": job.reason,
        "createdAt": job.created_ms,
        "startedAt": job.started_ms,
        "stoppedAt": job.stopped_ms,
        "attempts": [dict(each) for each in job.attempts],
        "retryStrategy": job.retry,
        "dependsOn": job.depends_on,
        "parameters": job.parameters,
        "container": container,
        "arrayProperties": _array(job),
        "timeout": job.timeout,
        "tags": job.tags or None,
        "propagateTags": job.propagate_tags,
        "platformCapabilities": ["EC2"],
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
    }


def summarise(job: Job) -> dict[str, Any]:
    """A `JobSummary`."""
    last = job.attempts[-1]["container"] if job.attempts else {}
    array = {"size": len(job.children)} if job.children else {"index": job.index} if job.index is not None else None
    return {
        "jobArn": job.arn,
        "jobId": job.id,
        "jobName": job.name,
        "createdAt": job.created_ms,
        "status": job.status,
        "statusReason": job.reason,
        "startedAt": job.started_ms,
        "stoppedAt": job.stopped_ms,
        "container": {name: last[name] for name in ("exitCode", "reason") if last.get(name) is not None},
        "arrayProperties": array,
        "jobDefinition": job.definition,
    }


def _array(job: Job) -> dict[str, Any] | None:
    if job.children:
        counted = Counter(child.status for child in job.children)
        return {"size": len(job.children), "statusSummary": {status: counted[status] for status in STATUSES}}
    return {"index": job.index} if job.index is not None else None
