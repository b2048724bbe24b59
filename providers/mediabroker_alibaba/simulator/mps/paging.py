"""Lists of jobs page by page, filtered by state, pipeline and time. Source: MPS, "ListJob", "QuerySnapshotJobList"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from mediabroker_alibaba.simulator.mps.checks import Call, integer
from mediabroker_alibaba.simulator.mps.jobs import STATE_WORDS, Job, Kind
from mediabroker_alibaba.simulator.mps.refusals import invalid

__all__ = ["page_of"]

_HISTORY = timedelta(days=90)


def page_of(call: Call, jobs: Sequence[Job], kind: Kind) -> tuple[list[Job], str | None]:
    """One page of the jobs that the call asks for, and the token of the next one: the last job of this page.

    Args:
        jobs: the newest first.
    """
    state = call.params.get("State") or "All"
    if state not in ("All", *STATE_WORDS[kind].values()):
        raise invalid("State")
    size = integer(call, "MaximumPageSize", 10, 1, 100)
    since = _time(call, "StartOfJobCreatedTimeRange") or call.at - _HISTORY
    until = _time(call, "EndOfJobCreatedTimeRange") or call.at
    pipeline_id = call.params.get("PipelineId")
    found = [
        job
        for job in jobs
        if max(since, call.at - _HISTORY) <= job.created_at.replace(microsecond=0) <= until
        and state in ("All", job.word)
        and pipeline_id in (None, "", job.pipeline_id)
    ]
    first = 0
    if token := call.params.get("NextPageToken"):
        ids = [job.id for job in found]
        if token not in ids:
            raise invalid("NextPageToken")
        first = ids.index(token) + 1
    page = found[first : first + size]
    return page, page[-1].id if page and len(found) > first + size else None


def _time(call: Call, name: str) -> datetime | None:
    if not call.params.get(name):
        return None
    try:
        return datetime.strptime(call.params[name], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise invalid(name, "Format") from None
