"""The simulated account: its queues, job definitions and jobs, and what each operation does.

Source: AWS Batch API Reference, and User Guide, "Job states" (finished jobs are kept for seven days at least).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from threading import RLock
from typing import Any

from mediabroker.clock import Clock, SystemClock
from mediabroker_aws.simulator.batch.events import build_event
from mediabroker_aws.simulator.batch.executors import Executor
from mediabroker_aws.simulator.batch.lifecycle import Lifecycle
from mediabroker_aws.simulator.batch.listing import check_place, list_page
from mediabroker_aws.simulator.batch.records import Job, describe
from mediabroker_aws.simulator.batch.rules import check_array_dependencies, check_submit, refuse
from mediabroker_aws.simulator.faults import Faults

__all__ = ["BatchSimulator"]

_BEFORE_START = frozenset({"SUBMITTED", "PENDING", "RUNNABLE"})
_REFERENCE = re.compile(r"Ref::([A-Za-z0-9_-]+)")


class BatchSimulator:
    """One account in one region. Thread-safe.

    Args:
        list_lag_s: for how long a new job stays invisible to `ListJobs`.
        history_s: how long a finished job can be seen.
        sink: takes every event, in order, while the simulator waits.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        clock: Clock | None = None,
        account: str = "123456789012",
        region: str = "eu-west-1",
        list_lag_s: float = 0.0,
        history_s: float = 7 * 86_400.0,
        sink: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.account, self.region = account, region
        self.faults = Faults()
        self.list_lag_s = list_lag_s
        self.lifecycle = Lifecycle(executor, clock or SystemClock(), self._changed)
        self._history_s = history_s
        self._sink = sink
        self._jobs: dict[str, Job] = {}
        self._queues: dict[str, str] = {}
        self._definitions: dict[str, list[dict[str, Any]]] = {}
        self._lock = RLock()
        self._operations: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "SubmitJob": self._submit,
            "DescribeJobs": self._describe,
            "ListJobs": self._list,
            "CancelJob": self._cancel,
            "TerminateJob": self._terminate,
            "TagResource": self._tag,
            "RegisterJobDefinition": self._register,
            "DescribeJobDefinitions": self._describe_definitions,
            "DescribeJobQueues": self._describe_queues,
        }

    def add_queue(self, name: str) -> str:
        """Make a queue; its ARN."""
        self._queues[name] = self._arn(f"job-queue/{name}")
        return self._queues[name]

    def call(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Perform an operation whose parameters are valid by the service's model.

        Raises:
            WireError: it is refused.
        """
        if operation not in self._operations:
            raise refuse(f"{operation} is not simulated")
        with self._lock:
            return self._operations[operation](params)

    def advance(self, where: Callable[[Job], bool] | None = None) -> None:
        """Let each of the jobs (children as their array) take one step; with `where`, only those."""
        with self._lock:
            for job in list(self._jobs.values()):
                if where is None or where(job):
                    for each in (*job.children, job):
                        self.lifecycle.step(each, self._jobs)

    def lose_host(self, job_id: str) -> None:
        """Take the Spot instance away from under a running job or child."""
        with self._lock:
            self.lifecycle.lose_host(self._found(job_id))

    def jobs(self) -> list[Job]:
        """Every job that was ever submitted, in order; children hang on their array."""
        with self._lock:
            return list(self._jobs.values())

    def close(self) -> None:
        """Kill what still runs."""
        with self._lock:
            for job in self._jobs.values():
                for each in (job, *job.children):
                    if each.run is not None:
                        each.run.kill()

    def _changed(self, job: Job) -> None:
        if self._sink is not None:
            self._sink(build_event(job, account=self.account, region=self.region, at=self.lifecycle.clock.now()))

    def _arn(self, resource: str) -> str:
        partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(self.region.rpartition("-")[0].rpartition("-")[0])
        return f"arn:{partition or 'aws'}:batch:{self.region}:{self.account}:{resource}"

    def _submit(self, params: Mapping[str, Any]) -> dict[str, Any]:
        check_submit(params)
        size = params.get("arrayProperties", {}).get("size")
        for dependency in params.get("dependsOn", ()):
            other = self._found(dependency["jobId"]) if "jobId" in dependency else None
            check_array_dependencies(size, dependency, len(other.children) or None if other else None)
        job = self._job(str(uuid.uuid4()), params, self._queue(params["jobQueue"]), self._definition(params))
        for index in range(size or 0):
            child = self._job(f"{job.id}:{index}", params, job.queue, self._definition(params))
            child.index, child.parent, child.depends_on = index, job, []
            job.children.append(child)
        self._jobs[job.id] = job
        return {"jobArn": job.arn, "jobName": job.name, "jobId": job.id}

    def _job(self, job_id: str, params: Mapping[str, Any], queue: str, definition: Mapping[str, Any]) -> Job:
        container = definition.get("containerProperties", {})
        overrides = params.get("containerOverrides", {})
        parameters = {**definition.get("parameters", {}), **params.get("parameters", {})}
        command = overrides.get("command") or container.get("command", ())
        environment = [*container.get("environment", ()), *overrides.get("environment", ())]
        return Job(
            id=job_id,
            arn=self._arn(f"job/{job_id}"),
            name=params["jobName"],
            queue=queue,
            definition=definition["jobDefinitionArn"],
            created_ms=self.lifecycle.now_ms(),
            command=tuple(_REFERENCE.sub(lambda at: parameters.get(at[1], at[0]), word) for word in command),
            environment={each["name"]: each.get("value", "") for each in environment},
            container={name: container[name] for name in ("image", "resourceRequirements") if name in container},
            parameters=parameters,
            retry=dict(params.get("retryStrategy") or definition.get("retryStrategy") or {"attempts": 1}),
            timeout=params.get("timeout") or definition.get("timeout"),
            depends_on=[dict(each) for each in params.get("dependsOn", ())],
            tags=dict(params.get("tags", {})),
            propagate_tags=params.get("propagateTags", False),
        )

    def _queue(self, given: str) -> str:
        arn = self._queues.get(given.rpartition("/")[2])
        if arn is None or given not in (arn, given.rpartition("/")[2]):
            raise refuse(f"JobQueue {given} not found")
        return arn

    def _definition(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name, _, revision = params["jobDefinition"].rpartition("/")[2].partition(":")
        known = self._definitions.get(name, [])
        wanted = known[-1:] if not revision else [each for each in known if str(each["revision"]) == revision]
        if not wanted:
            raise refuse(f"JobDefinition {params['jobDefinition']} not found")
        return wanted[0]

    def _describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if len(params["jobs"]) > 100:
            raise refuse("Maximum number of jobs supported is 100")
        found = (self._visible(job_id) for job_id in dict.fromkeys(params["jobs"]))
        return {"jobs": [describe(job) for job in found if job is not None]}

    def _list(self, params: Mapping[str, Any]) -> dict[str, Any]:
        check_place(params)
        if "arrayJobId" in params:
            return list_page(self._found(params["arrayJobId"]).children, params)
        if "multiNodeJobId" in params:
            return list_page([], params)
        queue = self._queue(params["jobQueue"])
        seen_before_ms = self.lifecycle.now_ms() - self.list_lag_s * 1000
        listed = [job for job in self._history() if job.queue == queue and job.created_ms <= seen_before_ms]
        return list_page(listed, params)

    def _cancel(self, params: Mapping[str, Any]) -> dict[str, Any]:
        job = self._found(params["jobId"])
        for each in job.children or [job]:
            if each.status in _BEFORE_START:  # for jobs that run it does nothing, and says nothing
                each.is_cancelled, each.stopping = True, params["reason"]
                if each.status != "PENDING":
                    self.lifecycle.drop(each, params["reason"])
        return {}

    def _terminate(self, params: Mapping[str, Any]) -> dict[str, Any]:
        job, why = self._found(params["jobId"]), params["reason"]
        for each in (*job.children, job):
            if each.has_ended:
                continue
            each.is_terminated = True
            if each.run is not None:
                self.lifecycle.stop(each, why)
            elif each.children:
                each.stopping = why
                self.lifecycle.step(each, self._jobs)
            else:
                self.lifecycle.drop(each, why)
        return {}

    def _tag(self, params: Mapping[str, Any]) -> dict[str, Any]:
        job = self._found(params["resourceArn"].rpartition("/")[2])
        if len({**job.tags, **params["tags"]}) > 50:
            raise refuse("tags: at most 50")
        job.tags.update(params["tags"])
        return {}

    def _register(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name = params["jobDefinitionName"]
        revisions = self._definitions.setdefault(name, [])
        revision = len(revisions) + 1
        arn = self._arn(f"job-definition/{name}:{revision}")
        revisions.append({**params, "jobDefinitionArn": arn, "revision": revision, "status": "ACTIVE"})
        return {"jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision}

    def _describe_definitions(self, params: Mapping[str, Any]) -> dict[str, Any]:
        wanted = params.get("jobDefinitionName")
        named = [each for name, each in self._definitions.items() if wanted in (None, name)]
        return {"jobDefinitions": [definition for revisions in named for definition in revisions]}

    def _describe_queues(self, params: Mapping[str, Any]) -> dict[str, Any]:
        asked = params.get("jobQueues")
        queues = [
            {"jobQueueName": name, "jobQueueArn": arn, "state": "ENABLED", "priority": 1, "computeEnvironmentOrder": []}
            for name, arn in self._queues.items()
            if asked is None or name in asked or arn in asked
        ]
        return {"jobQueues": queues}

    def _history(self) -> Iterator[Job]:
        return (job for job in self._jobs.values() if self._is_kept(job))

    def _is_kept(self, job: Job) -> bool:
        return job.stopped_ms is None or job.stopped_ms >= self.lifecycle.now_ms() - self._history_s * 1000

    def _visible(self, job_id: str) -> Job | None:
        parent_id, _, index = job_id.partition(":")
        parent = self._jobs.get(parent_id)
        if parent is None or not self._is_kept(parent):
            return None
        if not index:
            return parent
        return parent.children[int(index)] if index.isdigit() and int(index) < len(parent.children) else None

    def _found(self, job_id: str) -> Job:
        job = self._visible(job_id)
        if job is None:
            raise refuse(f"Job {job_id} does not exist")
        return job
