"""Asks MPS for jobs: smart production one by one, everything else in tens; and finds an attempt's other jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mediabroker.refs import MediaURI
from mediabroker.spi import Flow, Member, Observation, Recovered
from mediabroker_alibaba.mps.finding import list_tagged, query_listed, query_one
from mediabroker_alibaba.mps.missing import build_missing, in_order, query_missing
from mediabroker_alibaba.mps.states import (
    observe_media_info,
    observe_production,
    observe_rejected,
    observe_snapshot,
    observe_transcode,
    tag_of,
)

__all__ = ["kind_of", "query", "recover"]

_Observe = Callable[[Mapping[str, Any], MediaURI | None], Observation]
_LISTED: Mapping[str, tuple[str, _Observe]] = {
    "transcode": ("QueryJobList", observe_transcode),
    "snapshot": ("QuerySnapshotJobList", observe_snapshot),
    "media_info": ("QueryMediaInfoJobList", observe_media_info),
}
_KINDS = {"iproduction": "production", "mediainfo": "media_info"}
"""What the broker calls a callback's type, where that is another word."""
_LISTS = {"transcode": "ListJob", "snapshot": "QuerySnapshotJobList"}


def query(members: Sequence[Member]) -> Flow[list[Observation]]:
    """One observation a member. A member's role tells which operation knows it; ids all look alike."""
    seen: list[Observation] = []
    for kind, (operation, observe) in _LISTED.items():
        mine = [each for each in members if kind_of(each) == kind]
        jobs = yield from query_listed(operation, [each.native_id for each in mine])
        for each in mine:
            job = jobs.get(each.native_id)
            seen.append(observe(job, each.output) if job else _missing(each))
    for each in members:
        if kind_of(each) == "production":
            answer = yield from query_one(each.native_id)
            seen.append(observe_production(answer, each.output) if answer else _missing(each))
        elif kind_of(each) == "rejected":
            seen.append(observe_rejected(each.native_id, (each.absent and each.absent.code) or "", each.output))
    seen += yield from query_missing([each for each in members if kind_of(each) == "missing"])
    return seen


def recover(seen: Observation) -> Flow[Recovered | None]:
    """Ask MPS for all jobs of an attempt, from one callback; those that cannot be found are members as missing.

    The callback only tells which operation to ask by. Whose job it is, and how many the attempt has, MPS answers.
    """
    said: Any = seen.raw
    word = str(said["Type"]).lower()
    if word == "iproduction":
        job = yield from query_one(seen.native_id)
    else:
        job = (yield from query_listed(_LISTED[_KINDS.get(word, word)][0], [seen.native_id])).get(seen.native_id)
    tag = tag_of(job) if job else None
    if job is None or tag is None:
        return None
    if (kind := _KINDS.get(word)) is not None:
        only = Member(role=kind, native_id=seen.native_id, output=tag.output)
        return Recovered(origin=tag.origin, members=(only,))
    observe = _LISTED[word][1]
    jobs, since = {seen.native_id: job}, None
    if tag.of > 1:
        since = _time(job.get("CreationTime"))
        tagged = yield from list_tagged(_LISTS[word], tag.token, since, None)
        jobs = {observe(each, None).native_id: each for each in tagged}
    members = [_member(word, observe(each, None), each) for each in jobs.values()]
    if not members:
        return None
    members += build_missing(word, tag.token, list(jobs.values()), of=tag.of, since=since)
    return Recovered(origin=tag.origin, members=tuple(sorted(members, key=in_order)))


def kind_of(member: Member) -> str:
    """Return what kind of MPS job a member is, which tells the operation that knows it."""
    if member.absent is not None:
        return "rejected" if member.absent.reason == "rejected" else "missing"
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
