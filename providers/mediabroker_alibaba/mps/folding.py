"""Several vendor jobs as one attempt: a ladder's renditions, or pictures at several times: pure functions."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from mediabroker.errors import ErrorCode, JobError
from mediabroker.media.ladders.playlist import Variant, build_master
from mediabroker.refs import MediaURI
from mediabroker.results import JobResult, MediaInfoResult, Output, VideoResult
from mediabroker.spi import Call, MemberStatus, Observation, Reply, fold_members
from mediabroker.states import JobState
from mediabroker_alibaba.mps.media_details import whole
from mediabroker_alibaba.mps.states import item_of, tag_of

__all__ = ["build_finish", "fold"]

_KBPS = 1000
_PEAK = 1.5


def fold(members: Sequence[MemberStatus]) -> Observation:
    """One failed output does not stop the others, so an attempt ends with its last member; then each one is told."""
    folded = fold_members(members)
    living = [each for each in members if not each.state.is_terminal]
    ended = folded.state in (JobState.FAILED, JobState.CANCELLED)
    if ended and living:
        over = len(members) - len(living)
        going_on = fold_members(living)
        return going_on.model_copy(update={"state": JobState.RUNNING, "phase": f"{over} of {len(members)} ended"})
    result = _result(members, folded.result)
    failed = [each for each in members if each.state is JobState.FAILED]
    if folded.state is JobState.FAILED and 0 < len(failed) < len(members):
        return folded.model_copy(update={"error": _partial(members, failed), "result": result})
    return folded.model_copy(update={"result": result})


def build_finish(members: Sequence[MemberStatus]) -> Call[Reply] | None:
    """The file that only we can write when all members have succeeded: a ladder's master playlist, or what a media
    information job has found; None: there is none."""
    target = _target(members)
    if target is None:
        return None
    body = _media_info(members) if members[0].member.role == "media_info" else _master(members, target)
    params = {"uri": str(target), "body": body}
    return Call("oss", "PutObject", params, "create", "finish", stand_in={"version": "<finish.version>"})


def _target(members: Sequence[MemberStatus]) -> MediaURI | None:
    """The job's output, where that is another file than those that MPS writes."""
    first = members[0] if members else None
    tag = tag_of(first.raw) if first and isinstance(first.raw, Mapping) else None
    if first is None or tag is None or tag.output is None or first.member.role == "production":
        return None
    made = _output(first) if first.member.role != "media_info" else None
    is_made = made is not None and (made.bucket, made.key) == (tag.output.bucket, tag.output.key)
    return None if is_made or first.member.role.startswith("snapshot-") else tag.output


def _result(members: Sequence[MemberStatus], joined: JobResult | None) -> JobResult | None:
    """Of a ladder its largest rendition, with the master playlist first."""
    if not isinstance(joined, VideoResult) or (len(members) == 1 and _target(members) is None):
        return joined
    videos = [each.result for each in members if isinstance(each.result, VideoResult)]
    items = tuple(item for each in members if (item := item_of(each.raw, _output(each), each.error)) is not None)
    largest = max(videos, key=lambda each: (each.height_px or 0, each.width_px or 0), default=joined)
    master = _target(members)
    outputs = (*((Output(uri=master),) if master is not None else ()), *joined.outputs)
    return largest.model_copy(update={"outputs": outputs, "items": items})


def _output(status: MemberStatus) -> MediaURI | None:
    return status.result.outputs[0].uri if status.result and status.result.outputs else status.member.output


def _partial(members: Sequence[MemberStatus], failed: Sequence[MemberStatus]) -> JobError:
    reasons = "; ".join(each.error.message for each in failed if each.error)
    return JobError.of(ErrorCode.PARTIAL, f"{len(failed)} of {len(members)} outputs failed: {reasons}")


def _media_info(members: Sequence[MemberStatus]) -> str:
    result = members[0].result
    media = result.media if isinstance(result, MediaInfoResult) else None
    return json.dumps(media.model_dump(mode="json") if media else None, indent=2, sort_keys=True)


def _master(members: Sequence[MemberStatus], target: MediaURI) -> str:
    return build_master([_variant(each, target) for each in members if each.result is not None], fragmented=False)


def _variant(status: MemberStatus, target: MediaURI) -> Variant:
    raw: Any = status.raw
    output, video = raw.get("Output") or {}, status.result
    assert isinstance(video, VideoResult)
    asked, sound = output.get("Video") or {}, output.get("Audio") or {}
    audio_bps = (whole(sound.get("Bitrate")) or 0) * _KBPS
    mean_bps = (whole((output.get("Properties") or {}).get("Bitrate")) or 0) * _KBPS
    mean_bps = mean_bps or (whole(asked.get("Bitrate")) or 0) * _KBPS + audio_bps
    peak_bps = (whole(asked.get("Maxrate")) or 0) * _KBPS + audio_bps
    return Variant(
        uri=posixpath.relpath(video.outputs[0].uri.key, posixpath.dirname(target.key) or "."),
        width_px=video.width_px or whole(asked.get("Width")) or 0,
        height_px=video.height_px or whole(asked.get("Height")) or 0,
        frame_rate=Fraction(video.frame_rate or 0),
        peak_bps=max(peak_bps, round(mean_bps * _PEAK)),
        average_bps=mean_bps,
        codecs=(),
    )
