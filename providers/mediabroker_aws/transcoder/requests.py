"""What is sent to the transcoding service and to S3 for one transcode: pure functions from our model to theirs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import JsonValue

from mediabroker.errors import UnsupportedError
from mediabroker.jobs import JobSpec, Transcode, VideoEncoder
from mediabroker.refs import MediaURI
from mediabroker.spi import Call, Reply, SubmitContext
from mediabroker_aws.options import LambdaOptions
from mediabroker_aws.transcoder.wire import HEIGHTS_PX, Names, TranscodeRequest, choose_renditions

__all__ = [
    "STEP",
    "build_cancel",
    "build_head",
    "build_list",
    "build_read_metadata",
    "build_request",
    "build_status",
    "build_submit",
    "build_time",
    "check_expressible",
    "names_of",
    "output_of",
    "transcode_of",
]

STEP = "transcode"
_SEGMENT_S = 6.0
_TOP = (HEIGHTS_PX[-1], 100_000_000)
_WORK = re.compile(r"(?P<folder>s3://.+/(?P<stem>[^/]+)_[0-9]{14}/)status-(?P<type>mp4|m3u8)\.json")
_USER_DATA_LIMIT_BYTES = 64 << 10
_RESERVED = frozenset(TranscodeRequest.model_fields)


def check_expressible(name: str, spec: Transcode, options: LambdaOptions) -> None:
    """Refuse what the service's fields cannot say.

    Raises:
        UnsupportedError: names the field, its value and what would be right.
    """
    if not (spec.input.is_folder or spec.input.key.endswith(".mp4")):
        raise UnsupportedError(f"input: {spec.input} is neither an .mp4 file nor a folder that ends in a slash")
    if not spec.output.is_folder or spec.output.bucket != spec.input.bucket:
        raise UnsupportedError(
            f"output: {spec.output} must be a folder, with a slash at its end, in the input's bucket"
        )
    if spec.input.is_folder and spec.output.key.startswith(spec.input.key):
        raise UnsupportedError(f"output: {spec.output} lies in the input; the outputs would become sources")
    if spec.overwrite:
        raise UnsupportedError(f"overwrite: {name} never replaces what is there")
    if spec.encoder != VideoEncoder() or spec.segment_s != _SEGMENT_S:
        raise UnsupportedError(f"encoder, segment_s: {name} has its own encoder settings and segments of 6 s")
    if spec.renditions and _limits(spec) is None:
        wanted = [(each.height_px, each.video_bitrate_bps) for each in spec.renditions]
        raise UnsupportedError(f"renditions: {name} makes the first rungs of its own ladder, not {wanted}")
    if reserved := sorted(_RESERVED & set(options.extra)):
        raise UnsupportedError(f"options.extra: {', '.join(reserved)} cannot be replaced")
    if len(json.dumps(spec.user_data).encode()) > _USER_DATA_LIMIT_BYTES:
        raise UnsupportedError(f"user_data: more than {_USER_DATA_LIMIT_BYTES} bytes do not travel with the request")


def _kind(spec: Transcode) -> Literal["mp4", "m3u8"]:
    return "mp4" if spec.container == "mp4" else "m3u8"


def _limits(spec: Transcode) -> tuple[int, int] | None:
    """`v_height` and `v_bitrate` that make exactly the renditions asked for; None: nothing does."""
    ordered = tuple(sorted(spec.renditions, key=lambda each: (each.height_px, each.video_bitrate_bps)))
    top = ordered[-1]
    if top.height_px not in HEIGHTS_PX:
        return None
    made = choose_renditions(_kind(spec), top.height_px, top.video_bitrate_bps)
    return (top.height_px, top.video_bitrate_bps) if made == ordered else None


def build_time(token: str) -> str:
    """The 14 digits of an attempt: a replay names the same outputs."""
    return f"{int.from_bytes(hashlib.sha256(token.encode()).digest()[:8], 'big') % 10**14:014d}"


def build_request(
    spec: Transcode, options: LambdaOptions, ctx: SubmitContext, source: Mapping[str, Any] | None
) -> TranscodeRequest:
    """The request; `source` is what is known of a single file, the service looks at each file of a folder itself."""
    height, bitrate = (_limits(spec) if spec.renditions else None) or _TOP
    if source is not None:
        height = min(height, next((each for each in HEIGHTS_PX if each >= source["height_px"]), HEIGHTS_PX[-1]))
        if source["duration_s"]:
            bitrate = min(bitrate, max(1, round(source["size_bytes"] * 8 / source["duration_s"])))
    output = ctx.output or spec.output
    return TranscodeRequest(
        bucket=ctx.input.bucket,
        contentprovider=options.content_provider,
        dst=output.key,
        src=ctx.input.key,
        testflag="no",
        time=build_time(ctx.token),
        type=_kind(spec),
        v_bitrate=bitrate,
        v_height=height,
        origin=ctx.origin(spec),
    )


def build_submit(request: TranscodeRequest, options: LambdaOptions) -> Call[None]:
    """The call that starts everything. Sent again, it starts nothing twice: the names are the same."""
    placeholder: dict[str, JsonValue] = {"src": f"<{request.src}>", "status": "transcode", "error": "no"}
    return Call(
        "transcoder",
        "videoTranscode",
        {**request.fields(), **options.extra},
        effect="create",
        step=STEP,
        read=_read_videos,
        stand_in={"videos": [placeholder]},
    )


def _read_videos(reply: Reply) -> None:
    videos = reply["videos"]
    if not isinstance(videos, list) or not videos or not all(isinstance(each, dict) and each for each in videos):
        raise ValueError(f"videos: {videos!r:.80} is no list of entries")


def build_read_metadata(uri: MediaURI) -> Call[Reply]:
    return Call("s3", "ReadMetadata", {"uri": str(uri)})


def build_list(bucket: str, prefix: str) -> Call[Reply]:
    """All keys below a prefix."""
    return Call("s3", "ListObjects", {"bucket": bucket, "prefix": prefix})


def build_status(work: str) -> Call[Reply]:
    return Call("s3", "GetStatus", {"work": work})


def build_head(uri: MediaURI) -> Call[Reply]:
    return Call("s3", "HeadObject", {"uri": str(uri)})


def build_cancel(work: str, version: str) -> Call[Reply]:
    """Write down that the work is cancelled, on the condition that its status is still of that version."""
    return Call("s3", "CancelWork", {"work": work, "version": version}, effect="cancel")


def output_of(work: str) -> MediaURI | None:
    """Where the work of that id puts its output; None: it is no such id."""
    found = _WORK.fullmatch(work)
    return MediaURI(f"{found['folder']}{found['stem']}.{found['type']}") if found else None


def names_of(request: TranscodeRequest, key: str) -> Names | str:
    """The names for a source, or why it has none."""
    try:
        return Names.of(request, key) or "not .mp4"
    except ValueError as reason:
        return str(reason)


def transcode_of(spec: JobSpec[Any], name: str) -> Transcode:
    """The spec as a transcode.

    Raises:
        UnsupportedError: it is none.
    """
    if not isinstance(spec, Transcode):
        raise UnsupportedError(f"{name} does not run {spec.kind}")
    return spec
