"""Asks MPS for jobs: smart production one by one, everything else in tens; and finds an attempt's other jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mediabroker.refs import MediaURI
from mediabroker.spi import Flow, Member, Observation, Origin
from mediabroker_alibaba.mps_finding import list_tagged, query_listed, query_one
from mediabroker_alibaba.mps_missing import build_missing, in_order, is_missing, query_missing
from mediabroker_alibaba.mps_states import (
    observe_media_info,
    observe_production,
    observe_rejected,
    observe_snapshot,
    observe_transcode,
    tag_of,
)

__all__ = ["query", "recover"]

_Observe = Callable[[Mapping[str, Any], MediaURI | None], Observation]
_LISTED: Mapping[str, tuple[str, _Observe]] = {
    "transcode": ("QueryJobList", observe_transcode),
    "snapshot": ("QuerySnapshotJobList", observe_snapshot),
    "media_info": ("QueryMediaInfoJobList", observe_media_info),
}
_LISTS = {"transcode": "ListJob", "snapshot": "QuerySnapshotJobList"}


def query(members: Sequence[Member]) -> Flow[list[Observation]]:
    """One observation a member. A member's role tells which operation knows it; ids all look alike."""
    seen: list[Observation] = []
    for kind, (operation, observe) in _LISTED.items():
        mine = [each for each in members if _kind(each) == kind]
        jobs = yield from query_listed(operation, [each.native_id for each in mine])
        for each in mine:
            job = jobs.get(each.native_id)
            seen.append(observe(job, each.output) if job else _missing(each))
    for each in members:
        if _kind(each) == "production":
            answer = yield from query_one(each.native_id)
            seen.append(observe_production(answer, each.output) if answer else _missing(each))
        elif _kind(each) == "rejected":
            seen.append(observe_rejected(each.native_id, each.native_id.rpartition(":")[2], each.output))
    seen += yield from query_missing([each for each in members if _kind(each) == "missing"])
    return seen


def recover(origin: Origin, seen: Observation) -> Flow[list[Member]]:
    """All jobs of an attempt, from one callback, those that cannot be found as missing; none: not one is there yet."""
    said: Any = seen.raw
    kind = {"iproduction": "production", "mediainfo": "media_info"}.get(str(said["Type"]).lower())
    if kind is not None:
        return [Member(role=kind, native_id=seen.native_id, output=origin.output)]
    kind = str(said["Type"]).lower()
    operation, observe = _LISTED[kind]
    jobs = yield from query_listed(operation, [seen.native_id])
    since = None
    if said["of"] > 1 and seen.native_id in jobs:
        since = _time(jobs[seen.native_id].get("CreationTime"))
        tagged = yield from list_tagged(_LISTS[kind], origin.token, since, None)
        jobs = {observe(job, None).native_id: job for job in tagged}
    members = [_member(kind, observe(job, None), job) for job in jobs.values()]
    if not members:
        return []
    members += build_missing(kind, origin.token, list(jobs.values()), of=said["of"], since=since)
    return sorted(members, key=in_order)


def _kind(member: Member) -> str:
    if member.native_id.startswith("rejected:"):
        return "rejected"
    if is_missing(member):
        return "missing"
    if member.role in ("production", "media_info"):
        return member.role
    return "snapshot" if member.role.startswith("snapshot-") else "transcode"


def _missing(member: Member) -> Observation:
    return Observation(native_id=member.native_id, not_found=True)


def _member(kind: str, seen: Observation, job: Mapping[str, Any]) -> Member:
    tag = tag_of(job)
    step = tag.step if tag else ""
    outputs = seen.result.outputs if seen.result else ()
    role = step.replace("picture", "snapshot") if kind == "snapshot" else step
    return Member(role=role, native_id=seen.native_id, output=outputs[0].uri if outputs else None)


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if isinstance(text, str) else None
    except ValueError:
        return None
