"""What MPS says of its jobs, in our words: pure functions and the tables they read.

Source: Alibaba Cloud MPS, "QueryIProductionJob", "QueryJobList", "QuerySnapshotJobList", "QueryMediaInfoJobList".
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mediabroker.errors import ErrorCode, InvalidJobError, JobError
from mediabroker.jobs import result_type_of
from mediabroker.production.names import placeholders
from mediabroker.refs import MediaURI
from mediabroker.results import ImagesResult, Item, MediaInfoResult, Output, VideoResult
from mediabroker.spi import Observation
from mediabroker.states import JobState
from mediabroker_alibaba.catalogue import BY_NAME
from mediabroker_alibaba.mps.errors import explain_failure
from mediabroker_alibaba.mps.media_details import parse_properties
from mediabroker_alibaba.mps.production_results import build_result, parse_result
from mediabroker_alibaba.oss.names import parse_location
from mediabroker_alibaba.user_data import Tag, parse_user_data

__all__ = [
    "item_of",
    "observe_media_info",
    "observe_production",
    "observe_rejected",
    "observe_snapshot",
    "observe_transcode",
    "tag_of",
]

_log = logging.getLogger(__name__)

_PRODUCTION: Mapping[str, JobState] = {
    "Queuing": JobState.QUEUED,
    "Analysing": JobState.RUNNING,
    "Success": JobState.SUCCEEDED,
    "Fail": JobState.FAILED,
}
_TRANSCODE: Mapping[str, JobState] = {
    "Submitted": JobState.QUEUED,
    "Transcoding": JobState.RUNNING,
    "TranscodeSuccess": JobState.SUCCEEDED,
    "TranscodeFail": JobState.FAILED,
    "TranscodeCancelled": JobState.CANCELLED,
}
_SNAPSHOT: Mapping[str, JobState] = {
    "Submitted": JobState.QUEUED,
    "Snapshoting": JobState.RUNNING,
    "Success": JobState.SUCCEEDED,
    "Fail": JobState.FAILED,
}
_MEDIA_INFO: Mapping[str, JobState] = {
    "Analyzing": JobState.RUNNING,
    "Success": JobState.SUCCEEDED,
    "Fail": JobState.FAILED,
}
_PROGRESS = {JobState.QUEUED: 0.0, JobState.SUCCEEDED: 1.0}


def observe_production(answer: Mapping[str, Any], output: MediaURI | None) -> Observation:
    """One `QueryIProductionJob`. `output` is what was asked for; the answer repeats it, so it may be unknown here."""
    tag = parse_user_data(answer.get("UserData"))
    seen = _begin(answer, str(answer.get("JobId")), _PRODUCTION, tag)
    result = parse_result(answer.get("Result"))
    if seen.state is JobState.FAILED:
        error = explain_failure(result.code, result.message, request_id=_text(answer.get("RequestId")))
        return seen.model_copy(update={"error": error})
    if seen.state is not JobState.SUCCEEDED:
        return seen
    if result.data is None or isinstance(result.data, str):
        _log.warning(
            "a finished job of MPS has no readable Result (native_id %s)",
            seen.native_id,
            extra={"native_id": seen.native_id},
        )
    kind = result_type_of(tag.kind if tag else _kind_of(answer.get("FunctionName")))
    pattern = output or _uri(answer.get("Output"))
    made = build_result(kind, result, pattern)
    if not made.outputs and pattern is not None and not placeholders(pattern):
        made = made.model_copy(update={"outputs": (Output(uri=pattern),)})  # it names no files, so it wrote this one
    return seen.model_copy(update={"result": made})


def observe_transcode(job: Mapping[str, Any], output: MediaURI | None) -> Observation:
    """One `Job` of a job list."""
    given = _mapping(job.get("Output"))
    tag = parse_user_data(given.get("UserData"))
    seen = _begin(job, str(job.get("JobId")), _TRANSCODE, tag)
    percent = job.get("Percent")
    if seen.state is JobState.RUNNING and isinstance(percent, int | float):
        seen = seen.model_copy(update={"progress": min(1.0, max(0.0, percent / 100))})
    made = output or _playlist(parse_location(given.get("OutputFile")), given)
    if seen.state is not JobState.SUCCEEDED:
        return _failed(seen, job, made)
    media = parse_properties(given.get("Properties"))
    video = media.video[0] if media and media.video else None
    properties, asked = _mapping(given.get("Properties")), _mapping(given.get("Video"))
    result = VideoResult(
        outputs=(Output(uri=made),) if made else (),
        width_px=video.width_px if video else _pixels(properties.get("Width") or asked.get("Width")),
        height_px=video.height_px if video else _pixels(properties.get("Height") or asked.get("Height")),
        duration_s=media.duration_s if media else None,
        frame_rate=video.frame_rate if video else None,
        frame_count=video.frame_count if video else None,
    )
    return seen.model_copy(update={"result": result})


def observe_snapshot(job: Mapping[str, Any], output: MediaURI | None) -> Observation:
    """One `SnapshotJob`."""
    tag = parse_user_data(job.get("UserData"))
    seen = _begin(job, str(job.get("Id")), _SNAPSHOT, tag)
    made = output or parse_location(_mapping(job.get("SnapshotConfig")).get("OutputFile"))
    if seen.state is not JobState.SUCCEEDED:
        return _failed(seen, job, made)
    return seen.model_copy(update={"result": ImagesResult(outputs=(Output(uri=made),) if made else ())})


def observe_media_info(job: Mapping[str, Any], output: MediaURI | None) -> Observation:
    """One `MediaInfoJob`. What it found is written to the job's output, if it has one, when the job is finished."""
    tag = parse_user_data(job.get("UserData"))
    seen = _begin(job, str(job.get("JobId")), _MEDIA_INFO, tag)
    made = output or (tag.output if tag else None)
    if seen.state is not JobState.SUCCEEDED:
        return _failed(seen, job, made)
    result = MediaInfoResult(
        media=parse_properties(job.get("Properties")), outputs=(Output(uri=made),) if made is not None else ()
    )
    return seen.model_copy(update={"result": result})


def observe_rejected(native_id: str, code: str, output: MediaURI | None) -> Observation:
    """An output that MPS did not take while it took others of the same job."""
    error = explain_failure(code, "MPS did not take this output")
    raw: dict[str, Any] = {"Success": False, "Code": code, "Output": str(output) if output else None}
    return Observation(native_id=native_id, state=JobState.FAILED, phase="rejected", error=error, raw=raw)


def tag_of(job: Mapping[str, Any]) -> Tag | None:
    """Whose job it is; transcodes keep that with their output."""
    return parse_user_data(job.get("UserData")) or parse_user_data(_mapping(job.get("Output")).get("UserData"))


def item_of(raw: object, output: MediaURI | None, error: JobError | None) -> Item | None:
    """One output of several, as the vendor's job tells of it; None: it names no source."""
    source = parse_location(_mapping(raw).get("Input"))
    if source is None:
        return None
    return Item(source=source, outcome="failed" if error else "ok", output=output, error=error)


def _begin(job: Mapping[str, Any], native_id: str, words: Mapping[str, JobState], tag: Tag | None) -> Observation:
    """What all kinds share. A word that no table lists keeps the state."""
    word = str(job.get("State") or "")
    state = words.get(word)
    if state is None:
        _log.warning(
            "MPS says something unheard of (native_id %s, state %s)",
            native_id,
            word,
            extra={"native_id": native_id, "state": word},
        )
    return Observation(
        native_id=native_id,
        state=state,
        phase=word or None,
        progress=_PROGRESS.get(state) if state else None,
        token=tag.token if tag else None,
        origin=tag.origin if tag else None,
        raw=dict(job),
    )


def _failed(seen: Observation, job: Mapping[str, Any], output: MediaURI | None) -> Observation:
    if seen.state is JobState.CANCELLED:
        return seen.model_copy(update={"error": JobError.of(ErrorCode.CANCELLED, "the transcode was cancelled")})
    if seen.state is not JobState.FAILED:
        return seen
    error = explain_failure(job.get("Code"), job.get("Message"))
    return seen.model_copy(update={"error": error.model_copy(update={"message": _named(error.message, output)})})


def _named(message: str, output: MediaURI | None) -> str:
    return f"{output.name}: {message}" if output is not None else message


def _playlist(uri: MediaURI | None, output: Mapping[str, Any]) -> MediaURI | None:
    """MPS appends `.m3u8` to a playlist's name; whether its answers show it is not documented."""
    is_playlist = _mapping(output.get("Container")).get("Format") == "m3u8"
    return MediaURI(f"{uri}.m3u8") if uri and is_playlist and not uri.key.endswith(".m3u8") else uri


def _kind_of(function: object) -> str:
    known = BY_NAME.get(function) if isinstance(function, str) else None
    return known.kind if known else "smart_production"


def _uri(text: object) -> MediaURI | None:
    try:
        return MediaURI(text) if isinstance(text, str) else None
    except InvalidJobError:
        return None


def _pixels(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
