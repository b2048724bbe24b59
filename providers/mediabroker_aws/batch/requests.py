"""What is sent to Batch and S3 for one super-resolution job: pure functions from our model to theirs.

Source: AWS Batch API Reference, "SubmitJob", "ListJobs", "TerminateJob"; User Guide, "Automated job retries".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import JsonValue

from mediabroker.jobs import JobSpec
from mediabroker.media.slices import slice_count
from mediabroker.spi import Call, Reply, SubmitContext
from mediabroker_aws.options import BatchOptions
from mediabroker_aws.settings import BatchSettings

__all__ = [
    "CANCEL_REASON",
    "ORIGIN",
    "PREFIX",
    "RETRIES",
    "SUBMIT_LIMIT_BYTES",
    "Slicing",
    "Task",
    "build_describe",
    "build_list",
    "build_list_failed",
    "build_manifest",
    "build_submit",
    "build_terminate",
    "choose_slices",
    "job_name",
    "measure_submit",
]

ARRAY_LIMIT = 10_000
SUBMIT_LIMIT_BYTES = 30 << 10
"""What a whole `SubmitJob` may have. Source: AWS Batch User Guide, "Service quotas" (job payload size), 2023."""
_TOKEN_LENGTH = 36
"""Longer than a job's id and token, as long as an id of Batch."""
_ATTEMPT_BYTES = 512
"""How much longer than the job's own output one may be that is only staged."""
PREFIX = "mb-"
"""Begins the name of every job of ours."""
ORIGIN = "MEDIABROKER_ORIGIN"
"""The environment variable that lets any host take the job over."""
CANCEL_REASON = "cancelled by mediabroker"
"""Batch knows no cancelled jobs, only failed ones; their reason is ours."""

Task = Literal["slice", "merge", "single"]

_ID = re.compile(r"[A-Za-z0-9-]{8,64}|<\w+\.jobId>")
_INTERRUPTED = "75"
"""The worker's exit code when it was told to stop."""
RETRIES: Sequence[Mapping[str, str]] = (
    {"onStatusReason": "Host EC2*", "action": "RETRY"},
    {"onReason": "CannotPullContainerError*", "action": "RETRY"},
    {"onExitCode": _INTERRUPTED, "action": "RETRY"},
    {"onReason": "*", "action": "EXIT"},
)
"""The last rule is needed: what no rule matches is tried again."""
_ATTEMPTS = {"spot": 5, "on_demand": 3}


class Slicing(NamedTuple):
    """How a video is cut: `pieces` of `slice_s` seconds."""

    slice_s: float
    pieces: int


def choose_slices(duration_s: float | None, wanted_s: float) -> Slicing:
    """Pieces of the wanted length; longer ones where an array could not hold so many."""
    count = slice_count(duration_s, wanted_s)
    if duration_s is None or count <= ARRAY_LIMIT:
        return Slicing(wanted_s, count)
    longer_s = float(math.ceil(duration_s / ARRAY_LIMIT))
    return Slicing(longer_s, slice_count(duration_s, longer_s))


def job_name(ctx: SubmitContext, step: str) -> str:
    """The name under which a job can be found again; at most 128 letters, digits and hyphens."""
    return f"{PREFIX}{ctx.token_of(step)}"


def work_folder(settings: BatchSettings, ctx: SubmitContext) -> str:
    return f"{settings.work.rstrip('/')}/{ctx.token}"


def build_manifest(
    settings: BatchSettings, spec: JobSpec[Any], ctx: SubmitContext, source: Mapping[str, JsonValue], slicing: Slicing
) -> Call[str]:
    """The plan that all workers of the attempt obey, written once, under the attempt's token."""
    folder = work_folder(settings, ctx)
    document = spec.model_dump(mode="json", exclude={"kind", "labels", "user_data"}, exclude_defaults=True)
    document |= {"input": str(ctx.input), "output": str(ctx.output), "slice_s": slicing.slice_s}
    manifest: dict[str, JsonValue] = {
        "version": 1,
        "token": ctx.token,
        "work": f"{folder}/",
        "slice_count": slicing.pieces,
        "source": dict(source),
        "job": document,
    }
    return Call(
        "s3",
        "PutObject",
        {"uri": f"{folder}/manifest.json", "body": json.dumps(manifest, sort_keys=True)},
        "create",
        "manifest",
        read=_read_version,
        stand_in={"version": "<manifest.version>"},
    )


def build_submit(
    settings: BatchSettings,
    spec: JobSpec[Any],
    options: BatchOptions,
    ctx: SubmitContext,
    task: Task,
    *,
    step: str,
    size: int | None = None,
    after: str | None = None,
) -> Call[str]:
    """One `SubmitJob`; `size` makes it an array, `after` is the job that must succeed first. Reads as the job's id."""
    manifest = f"{work_folder(settings, ctx)}/manifest.json"
    environment = {
        "MEDIABROKER_MANIFEST": manifest,
        "MEDIABROKER_TASK": task,
        ORIGIN: ctx.origin(spec).model_dump_json(),
    }
    params: dict[str, Any] = {
        "jobName": job_name(ctx, step),
        "jobQueue": getattr(settings.queues, options.capacity),
        "jobDefinition": settings.job_definition,
        "parameters": {"manifest": manifest, "task": task},
        "containerOverrides": {"environment": [{"name": name, "value": environment[name]} for name in environment]},
        "retryStrategy": {
            "attempts": _ATTEMPTS[options.capacity],
            "evaluateOnExit": [dict(rule) for rule in RETRIES],
        },
        "timeout": {"attemptDurationSeconds": settings.attempt_timeout_s},
        "tags": {"mediabroker:job": ctx.job_id, "mediabroker:token": ctx.token},
        "propagateTags": True,
        **({"arrayProperties": {"size": size}} if size is not None else {}),
        **({"dependsOn": [{"jobId": after}]} if after is not None else {}),
        **options.extra,
    }
    return Call("batch", "SubmitJob", params, "create", step, read=_read_id, stand_in={"jobId": f"<{step}.jobId>"})


def measure_submit(settings: BatchSettings, spec: JobSpec[Any], options: BatchOptions) -> int:
    """Bytes of the largest `SubmitJob` of a job as botocore sends it: JSON, with all but ASCII escaped.

    Nothing of the attempt is known yet; `_ATTEMPT_BYTES` are set aside for it, and both outputs that it may have are
    counted.
    """
    unknown = "x" * _TOKEN_LENGTH
    ctx = SubmitContext(
        job_id=unknown, attempt=1, token=unknown, input=spec.input, output=spec.output, deliver_to=spec.output
    )
    call = build_submit(settings, spec, options, ctx, "merge", step="merge", size=ARRAY_LIMIT, after=unknown)
    return len(json.dumps(call.params)) + _ATTEMPT_BYTES


def build_describe(ids: Sequence[str]) -> Call[list[dict[str, Any]]]:
    """At most 100 jobs; those that Batch does not know are missing from the answer."""
    return Call("batch", "DescribeJobs", {"jobs": list(ids)}, read=_read_jobs)


def build_list(queue: str, name: str, page: str | None) -> Call[Reply]:
    """One page of the jobs of that name (or prefix and `*`) in a queue, whatever their status."""
    params: dict[str, JsonValue] = {"jobQueue": queue, "filters": [{"name": "JOB_NAME", "values": [name]}]}
    return Call("batch", "ListJobs", {**params, **({"nextToken": page} if page else {})})


def build_list_failed(array: str) -> Call[Reply]:
    """Some children of an array that failed."""
    return Call("batch", "ListJobs", {"arrayJobId": array, "jobStatus": "FAILED", "maxResults": 1})


def build_terminate(job_id: str) -> Call[Reply]:
    """Stops a job in whatever state; `CancelJob` would do nothing to one that runs, and say nothing."""
    return Call("batch", "TerminateJob", {"jobId": job_id, "reason": CANCEL_REASON}, "cancel")


def _read_id(reply: Reply) -> str:
    job_id = reply.get("jobId")
    if not isinstance(job_id, str) or not _ID.fullmatch(job_id):
        raise ValueError(f"the answer to SubmitJob names no job: {job_id!r}")
    return job_id


def _read_version(reply: Reply) -> str:
    version = reply.get("version")
    if not isinstance(version, str) or not version:
        raise ValueError("the answer to PutObject names no version")
    return version


def _read_jobs(reply: Reply) -> list[dict[str, Any]]:
    jobs: Any = reply["jobs"]
    return list(jobs)
