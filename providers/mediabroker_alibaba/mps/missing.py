"""Jobs of an attempt that a takeover has not found in the list: not listed yet, not taken by MPS, or never submitted.

Another host cannot tell which. So each is a member of its own, which says what to look for in place of an id. It is
found when it appears; when it never does, the broker ends the job as lost, which is an inference and no verdict of MPS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from mediabroker.refs import MediaURI
from mediabroker.spi import Flow, Member, Observation
from mediabroker_alibaba.mps.finding import list_tagged
from mediabroker_alibaba.mps.states import observe_snapshot, observe_transcode, tag_of

__all__ = ["build_missing", "in_order", "is_missing", "query_missing", "vendor_id"]


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
_FORM = re.compile(r"missing:(?P<kind>\w+):(?P<number>\d+):(?P<since>\d+):(?P<token>.+)")
_NUMBER = re.compile(r"\d+")


def build_missing(
    kind: str, token: str, found: Sequence[Mapping[str, Any]], *, of: int, since: datetime | None
) -> list[Member]:
    """A member for each of the `of` jobs of a ladder or a series that is not among the found ones.

    Args:
        since: the jobs of the attempt were made about then (aware UTC).
    """
    if of == 1:
        return []
    series, at = _SERIES[kind], int(since.timestamp()) if since else 0
    wanted = set(range(series.first, series.first + of)) - {_number(job) for job in found}
    return [
        Member(role=f"{series.role}-{number}", native_id=f"missing:{kind}:{number}:{at}:{token}")
        for number in sorted(wanted)
    ]


def in_order(member: Member) -> int:
    """Where a member stands in its attempt, whether it was found or not."""
    match = _NUMBER.search(member.role)
    return int(match[0]) if match else 0


def is_missing(member: Member) -> bool:
    """Whether a member is one of these."""
    return _FORM.fullmatch(member.native_id) is not None


def query_missing(members: Sequence[Member]) -> Flow[list[Observation]]:
    """One observation a member, under its own id."""
    listed: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    seen: list[Observation] = []
    for member, wanted in _parsed(members):
        key = (wanted["kind"], wanted["token"], wanted["since"])
        series = _SERIES[wanted["kind"]]
        if key not in listed:
            since = datetime.fromtimestamp(int(wanted["since"]), timezone.utc) if int(wanted["since"]) else None
            listed[key] = yield from list_tagged(series.operation, wanted["token"], since, None)
        job = next((each for each in listed[key] if _number(each) == int(wanted["number"])), None)
        if job is None:
            seen.append(Observation(native_id=member.native_id, not_found=True))
        else:
            observed = series.observe(job, member.output)
            seen.append(observed.model_copy(update={"native_id": member.native_id}))
    return seen


def vendor_id(seen: Observation) -> str:
    """The id that MPS knows the job by."""
    raw: Any = seen.raw
    return str(raw["JobId"]) if seen.native_id.startswith("missing:") else seen.native_id


def _parsed(members: Sequence[Member]) -> Iterator[tuple[Member, re.Match[str]]]:
    for member in members:
        if (match := _FORM.fullmatch(member.native_id)) is not None:
            yield member, match


def _number(job: Mapping[str, Any]) -> int | None:
    """Which of its attempt's jobs it is; steps are `picture-3` and `2_480p`."""
    tag = tag_of(job)
    match = _NUMBER.search(tag.step) if tag else None
    return int(match[0]) if match else None
