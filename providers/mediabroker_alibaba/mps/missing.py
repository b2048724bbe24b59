"""Jobs of an attempt that a takeover has not found in the list: not listed yet, not taken by MPS, or never submitted.

Another host cannot tell which. So each is a member of its own, which says what to search for. It is
found when it appears; when it never does, the broker ends the job as lost, which is an inference and no verdict of MPS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mediabroker.absent import Absent
from mediabroker.refs import MediaURI
from mediabroker.spi import Flow, Member, Observation
from mediabroker_alibaba.mps.finding import list_tagged
from mediabroker_alibaba.mps.states import observe_snapshot, observe_transcode, tag_of

__all__ = ["build_missing", "in_order", "query_missing", "vendor_id"]


class _Series(NamedTuple):
    """How the jobs of one attempt are listed, observed and counted."""

    operation: str
    observe: Callable[[Mapping[str, Any], MediaURI | None], Observation]
    first: int
    role: str


_SERIES: Mapping[str, _Series] = {
    "transcode": _Series("ListJob", observe_transcode, 0, "output"),
    "snapshot": _Series("QuerySnapshotJobList", observe_snapshot, 1, "snapshot"),
}
_NUMBER = re.compile(r"\d+")


def build_missing(
    kind: str, token: str, found: Sequence[Mapping[str, Any]], *, of: int, since: datetime | None
) -> list[Member]:
    """Return a member for each of the `of` jobs of a ladder or a series that is not among the found ones.

    Args:
        since: the jobs of the attempt were made about then (aware UTC).
    """
    if of == 1:
        return []
    series, absent = _SERIES[kind], Absent(reason="not_found", token=token, since=since)
    wanted = set(range(series.first, series.first + of)) - {_number(job) for job in found}
    roles = [f"{series.role}-{number}" for number in sorted(wanted)]
    return [Member(role=role, native_id=f"{token}/{role}", absent=absent) for role in roles]


def in_order(member: Member) -> int:
    """Return where a member stands in its attempt, whether it was found or not."""
    match = _NUMBER.search(member.role)
    return int(match[0]) if match else 0


def query_missing(members: Sequence[Member]) -> Flow[list[Observation]]:
    """Return one observation a member, under its own id."""
    listed: dict[tuple[str, Absent], list[dict[str, Any]]] = {}
    seen: list[Observation] = []
    for member in members:
        series = _SERIES["snapshot" if member.role.startswith("snapshot-") else "transcode"]
        absent = member.absent
        assert absent is not None
        key = (series.operation, absent)
        if key not in listed:
            listed[key] = yield from list_tagged(series.operation, absent.token or "", absent.since, None)
        job = next((each for each in listed[key] if _number(each) == in_order(member)), None)
        if job is None:
            seen.append(Observation(native_id=member.native_id, not_found=True))
        else:
            observed = series.observe(job, member.output)
            seen.append(observed.model_copy(update={"native_id": member.native_id}))
    return seen


def vendor_id(member: Member, seen: Observation) -> str:
    """Return the id that MPS knows the job by."""
    raw: Any = seen.raw
    return str(raw["JobId"]) if member.absent else seen.native_id


def _number(job: Mapping[str, Any]) -> int | None:
    """Which of its attempt's jobs it is; steps are `picture-3` and `2_480p`."""
    tag = tag_of(job)
    match = _NUMBER.search(tag.step) if tag else None
    return int(match[0]) if match else None
