"""What became of a call whose answer was lost: MPS has no client token, so its jobs are searched for ours.

It lies in `UserData`. Transcodes and snapshots can be listed by time. Smart production and media information cannot:
of them only the ids that callbacks have named can be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from mediabroker.errors import ProviderError
from mediabroker.spi import Call, Flow, Reply, SubmitContext, ask
from mediabroker_alibaba.mps.requests import (
    QUERY_LIMIT,
    build_list,
    build_query,
    build_query_production,
    listed,
)
from mediabroker_alibaba.mps.states import tag_of

__all__ = ["SEARCHABLE", "find_hinted", "find_listed", "list_tagged", "query_listed", "query_one"]

SEARCHABLE: Mapping[str, str] = {"SubmitJobs": "ListJob", "SubmitSnapshotJob": "QuerySnapshotJobList"}
"""What lists the jobs that a call has made."""
_LISTS = {
    "ListJob": ("JobList", "Job", "JobId"),
    "QueryJobList": ("JobList", "Job", "JobId"),
    "QuerySnapshotJobList": ("SnapshotJobList", "SnapshotJob", "Id"),
    "QueryMediaInfoJobList": ("MediaInfoJobList", "MediaInfoJob", "JobId"),
}
_PARAMETERS = {
    "QueryJobList": "JobIds",
    "QuerySnapshotJobList": "SnapshotJobIds",
    "QueryMediaInfoJobList": "MediaInfoJobIds",
}
_NOT_FOUND = "InvalidParameter.ResourceNotFound"
"""Also what an id of another account gets. That this is the code for an unknown job is likely and not documented."""
_MALFORMED = "InvalidParameter.UUIDFormatInvalid"


def find_listed(ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
    """The answers that a transcode's or snapshot's create would have had, the earliest first."""
    operation = SEARCHABLE[call.operation]
    pipeline = call.params.get("PipelineId")
    found = yield from list_tagged(operation, ctx.token, ctx.sent_at, pipeline if isinstance(pipeline, str) else None)
    mine = [job for job in found if (tag := tag_of(job)) and tag.step == call.step]
    return [_as_answer(call.operation, job) for job in sorted(mine, key=lambda job: str(job.get("CreationTime")))]


def find_hinted(ctx: SubmitContext, call: Call[Any]) -> Flow[list[Reply]]:
    """The answers for those ids that callbacks have named and that really bear our token."""
    replies: list[Reply] = []
    for native_id in ctx.hints:
        if call.operation == "SubmitIProductionJob":
            job = yield from query_one(native_id)
        else:
            job = (yield from query_listed("QueryMediaInfoJobList", [native_id])).get(native_id)
        tag = tag_of(job) if job else None
        if job and tag and (tag.token, tag.step) == (ctx.token, call.step):
            replies.append(_as_answer(call.operation, job))
    return replies


def list_tagged(operation: str, token: str, since: datetime | None, pipeline: str | None) -> Flow[list[dict[str, Any]]]:
    """All jobs with the token that were made since then (aware UTC), whatever their state."""
    found: list[dict[str, Any]] = []
    page: str | None = None
    while True:
        reply = yield from ask(build_list(operation, since, page, pipeline=pipeline))
        name, entry, key = _LISTS[operation]
        jobs = listed(reply, name, entry, operation=operation)
        if operation == "ListJob":  # its entries are short and may leave the output out
            jobs = yield from _completed([str(job.get(key)) for job in jobs], jobs)
        found += [job for job in jobs if (tag := tag_of(job)) and tag.token == token]
        page = str(reply.get("NextPageToken") or "") or None
        if page is None:
            return found


def query_listed(operation: str, ids: Sequence[str]) -> Flow[dict[str, dict[str, Any]]]:
    """The jobs by id, asked for in tens; those that MPS does not know are missing."""
    name, entry, key = _LISTS[operation]
    found: dict[str, dict[str, Any]] = {}
    for batch in _batches(ids):
        reply = yield from ask(build_query(operation, _PARAMETERS[operation], batch))
        found |= {str(job.get(key)): job for job in listed(reply, name, entry, operation=operation)}
    return found


def query_one(native_id: str) -> Flow[dict[str, Any] | None]:
    """A smart-production job; None: MPS does not know it."""
    try:
        reply = yield from ask(build_query_production(native_id))
    except ProviderError as refusal:
        if refusal.provider_code in (_NOT_FOUND, _MALFORMED):
            return None
        raise
    return dict(reply)


def _completed(ids: Sequence[str], jobs: list[dict[str, Any]]) -> Flow[list[dict[str, Any]]]:
    if all(tag_of(job) or "Output" in job for job in jobs):
        return jobs
    found = yield from query_listed("QueryJobList", ids)
    return list(found.values())


def _as_answer(operation: str, job: dict[str, Any]) -> Reply:
    if operation == "SubmitJobs":
        return {"JobResultList": {"JobResult": [{"Success": True, "Job": job}]}}
    if operation == "SubmitIProductionJob":
        return {"JobId": job.get("JobId")}
    return {"SnapshotJob" if operation == "SubmitSnapshotJob" else "MediaInfoJob": job}


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(ids), QUERY_LIMIT):
        yield ids[at : at + QUERY_LIMIT]
