"""How simulated jobs move: dependencies, places, attempts, retries, stops. Each `step` is at most one transition.

Batch does not document the reason of a job whose dependency failed, nor when the parent of a failed child ends; here
the parent waits for all its children. Source of the rest: AWS Batch User Guide, "Job states", "Job dependencies",
"Automated job retries", "Job timeouts".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mediabroker.clock import Clock
from mediabroker_aws.simulator.batch.executors import SPOT_LOSS, Executor, Exited, Task
from mediabroker_aws.simulator.batch.records import Job
from mediabroker_aws.simulator.batch.rules import is_retried

__all__ = ["Lifecycle"]

_GRACE_MS = 30_000
"""Between SIGTERM and SIGKILL."""
_TIMED_OUT = "Job attempt duration exceeded timeout"
_DEPENDENCY_FAILED = "Dependent Job failed"
_CHILD_FAILED = "Array Child Job failed"


@dataclass
class Lifecycle:
    """Moves jobs. `capacity` is how many attempts run at a time (None: no limit); with `blocked` nothing is placed."""

    executor: Executor
    clock: Clock
    changed: Callable[[Job], None]
    """Told of every change of a job's status."""
    capacity: int | None = None
    blocked: str | None = None
    """A reason why nothing is placed, as `MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT`."""
    runnable_limits_s: dict[str, int] = field(default_factory=dict)
    """By blocked reason: for how long a job may stay RUNNABLE before it is cancelled."""
    busy: int = 0

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def step(self, job: Job, jobs: Mapping[str, Job]) -> None:
        """Let one job take its next step, if it can."""
        if job.has_ended:
            return
        if job.children:
            self._parent(job)
        elif job.status in ("SUBMITTED", "PENDING"):
            self._admit(job, jobs)
        elif job.status == "RUNNABLE":
            self._place(job)
        elif job.status == "STARTING":
            self._begin(job)
        else:
            self._watch(job)

    def _parent(self, job: Job) -> None:
        if all(child.has_ended for child in job.children):
            failed = any(child.status == "FAILED" for child in job.children)
            self.end(job, "FAILED" if failed else "SUCCEEDED", job.stopping or (_CHILD_FAILED if failed else None))
        elif job.status == "SUBMITTED" and any(child.status != "SUBMITTED" for child in job.children):
            self.move(job, "PENDING")

    def _admit(self, job: Job, jobs: Mapping[str, Job]) -> None:
        blockers = _blockers(job, jobs)
        if all(each.has_ended for each in blockers) and job.is_cancelled:
            self.end(job, "FAILED", job.stopping)
        elif any(each.status == "FAILED" for each in blockers):
            self.end(job, "FAILED", _DEPENDENCY_FAILED)
        elif all(each.status == "SUCCEEDED" for each in blockers):
            self.move(job, "RUNNABLE")
        elif job.status == "SUBMITTED":
            self.move(job, "PENDING")

    def _place(self, job: Job) -> None:
        if self.blocked is not None:
            job.reason = self.blocked
            limit_s = self.runnable_limits_s.get(self.blocked)
            if limit_s is not None and self.now_ms() - job.since_ms >= limit_s * 1000:
                self.end(job, "FAILED", self.blocked)
        elif self.capacity is None or self.busy < self.capacity:
            self.busy += 1
            self.move(job, "STARTING")

    def _begin(self, job: Job) -> None:
        attempt = len(job.attempts) + 1
        own = {"AWS_BATCH_JOB_ID": job.id, "AWS_BATCH_JOB_ATTEMPT": str(attempt), "AWS_BATCH_JQ_NAME": job.queue}
        if job.index is not None:
            own["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        task = Task(job.id, job.name, attempt, job.index, job.command, {**job.environment, **own})
        job.run = self.executor.start(task)
        job.started_ms = self.now_ms()
        self.move(job, "RUNNING")

    def _watch(self, job: Job) -> None:
        assert job.run is not None
        now_ms = self.now_ms()
        if job.kill_at_ms is not None and now_ms >= job.kill_at_ms:
            job.run.kill()
        elif job.timeout and now_ms - (job.started_ms or 0) >= job.timeout["attemptDurationSeconds"] * 1000:
            self.stop(job, _TIMED_OUT)
        if (exited := job.run.poll()) is not None:
            self._ended(job, exited)

    def _ended(self, job: Job, exited: Exited) -> None:
        job.run, self.busy = None, self.busy - 1
        why = job.stopping or exited.status_reason
        stopped_ms = self.now_ms()
        container = {"exitCode": exited.exit_code, "reason": exited.reason, "logStreamName": f"simulated/{job.id}"}
        job.attempts.append(
            {"startedAt": job.started_ms, "stoppedAt": stopped_ms, "statusReason": why, "container": container}
        )
        rules, limit = job.retry.get("evaluateOnExit", ()), job.retry.get("attempts", 1)
        if exited.exit_code == 0 and not job.stopping:
            self.end(job, "SUCCEEDED", why)
        elif (
            not job.stopping
            and len(job.attempts) < limit
            and is_retried(rules, exited.status_reason, exited.reason, exited.exit_code)
        ):
            self.move(job, "RUNNABLE", why)
        else:
            self.end(job, "FAILED", why)

    def stop(self, job: Job, why: str) -> None:
        """SIGTERM for a running attempt, with SIGKILL to follow; its job will not be tried again."""
        if job.run is not None and job.stopping is None:
            job.stopping, job.kill_at_ms = why, self.now_ms() + _GRACE_MS
            job.run.terminate()

    def lose_host(self, job: Job) -> None:
        """The instance under a running attempt goes away."""
        if job.run is not None:
            job.run.kill()
            self._ended(job, SPOT_LOSS)

    def drop(self, job: Job, why: str) -> None:
        """End a job that has no attempt running."""
        if job.status == "STARTING":
            self.busy -= 1
        self.end(job, "FAILED", why)

    def end(self, job: Job, status: str, why: str | None) -> None:
        job.stopped_ms = self.now_ms()
        self.move(job, status, why)

    def move(self, job: Job, status: str, why: str | None = None) -> None:
        job.status, job.reason, job.since_ms = status, why, self.now_ms()
        self.changed(job)


def _blockers(job: Job, jobs: Mapping[str, Job]) -> list[Job]:
    """What a job waits for; a child also for what its array does."""
    found = []
    for dependency in (job.parent or job).depends_on:
        other = jobs.get(dependency.get("jobId", ""))
        if other is not None:
            each_its_own = dependency.get("type") == "N_TO_N" and job.index is not None
            found.append(other.children[job.index] if each_its_own and job.index is not None else other)
        elif job.parent is not None and job.index:
            found.append(job.parent.children[job.index - 1])
    return found
