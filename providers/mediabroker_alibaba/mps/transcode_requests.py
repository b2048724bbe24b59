"""What is sent to MPS for a transcode: one `SubmitJobs` an output, so that each answer, lost or not, is of one job.

Source: Alibaba Cloud MPS, "SubmitJobs" and "Parameter details", Output, Video, Audio, Container, TransConfig.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from pydantic import JsonValue

from mediabroker.errors import UnsupportedError
from mediabroker.jobs import Transcode
from mediabroker.media.ladders.ladder import Rung, choose_rungs, display_size
from mediabroker.refs import MediaURI
from mediabroker.results import MediaDetails
from mediabroker.spi import Call, Reply, SubmitContext
from mediabroker_alibaba.mps.requests import SERVICE, dump, read_id
from mediabroker_alibaba.options import MpsOptions
from mediabroker_alibaba.oss.names import build_location
from mediabroker_alibaba.settings import MpsSettings
from mediabroker_alibaba.user_data import build_user_data

__all__ = ["Rejected", "TranscodeOutput", "build_transcode", "check_transcode", "plan_outputs"]

_BASES = {"mp4": "S00000001-200010", "hls": "S00000001-100010"}
"""Preset templates to start from; every part of them is replaced."""
_CODECS = {"auto": "H.264", "h264": "H.264", "h265": "H.265"}
_PRESETS = ("veryfast", "faster", "fast", "medium", "slow", "slower")
_CRF = 21
_KBPS = 1000
_VIDEO_KBPS = (10, 50_000)
_PEAK = 1.5
"""The heaviest seconds of a rendition, beside its mean; players choose by it."""
_SMALLEST_PX = 128
_LARGEST_PX = 4096


class TranscodeOutput(NamedTuple):
    """One output of a transcode, named by `step`; with neither rung nor size, as a template has it."""

    step: str
    uri: MediaURI
    rung: Rung | None = None
    size_px: tuple[int, int] | None = None


class Rejected(NamedTuple):
    """What MPS said of an output that it did not take; the others of the same job may have been taken."""

    code: str
    message: str


def check_transcode(spec: Transcode, options: MpsOptions) -> None:
    """Refuse what MPS cannot be told.

    Raises:
        UnsupportedError: names the field, its value and what is possible.
    """
    encoder = spec.encoder
    if options.template and (spec.renditions or encoder != type(spec).model_fields["encoder"].default):
        raise UnsupportedError("options.template: it fixes the encoding, so give neither encoder nor renditions")
    if encoder.preset not in _PRESETS:
        raise UnsupportedError(f"encoder.preset: MPS has no {encoder.preset!r}; it has {', '.join(_PRESETS)}")
    rates = [("encoder.video_bitrate_bps", encoder.video_bitrate_bps)] if encoder.video_bitrate_bps else []
    rates += [("renditions.video_bitrate_bps", each.video_bitrate_bps) for each in spec.renditions]
    for field, bps in rates:
        if bps and not _VIDEO_KBPS[0] * _KBPS <= bps <= _VIDEO_KBPS[1] * _KBPS:
            raise UnsupportedError(f"{field}: {bps} is outside MPS's 10,000 to 50,000,000")
    for each in spec.renditions:
        if not _SMALLEST_PX <= each.height_px <= _LARGEST_PX:
            raise UnsupportedError(f"renditions.height_px: {each.height_px} is outside MPS's 128 to 4096")
    if "{" in spec.output.key:
        raise UnsupportedError(f"output: {spec.output.name!r} has a brace, which begins a placeholder of MPS")


def plan_outputs(spec: Transcode, output: MediaURI, media: MediaDetails | None) -> list[TranscodeOutput]:
    """The outputs of a job: the file itself, or a ladder's renditions beside their master playlist.

    Args:
        media: what the source is; None where a template says all.
    """
    if media is None or not media.video:
        return [TranscodeOutput("output", output)]
    video = media.video[0]
    if spec.container == "mp4":
        width, height = display_size(video)
        rung = choose_rungs(media, video, spec.renditions)[0] if spec.renditions else None
        return [TranscodeOutput("output", output, rung, (width // 2 * 2, height // 2 * 2))]
    stem = posixpath.splitext(str(output))[0]
    rungs = choose_rungs(media, video, spec.renditions)
    return [TranscodeOutput(rung.name, MediaURI(f"{stem}-{rung.name}.m3u8"), rung) for rung in rungs]


def build_transcode(
    settings: MpsSettings, spec: Transcode, options: MpsOptions, ctx: SubmitContext, output: TranscodeOutput, *, of: int
) -> Call[str | Rejected]:
    """`SubmitJobs` with one output. Reads as the job's id, or what MPS has against it."""
    ladder = ctx.output if output.uri != ctx.output else None
    limit = settings.user_data_limit_bytes
    text = build_user_data(spec, ctx, limit_bytes=limit, step=output.step, of=of, output=ladder)
    where = build_location(output.uri, settings.region)
    wanted: dict[str, Any] = {
        # MPS itself appends ".m3u8" to the name of a playlist.
        "OutputObject": quote(output.uri.key.removesuffix(".m3u8"), safe="")
        if spec.container == "hls"
        else where["Object"],
        "TemplateId": options.template or _BASES[spec.container],
        "UserData": text,
        **({"Priority": str(options.priority)} if options.priority is not None else {}),
        **({} if options.template else _encoding(spec, output)),
        **options.extra,
    }
    params: dict[str, JsonValue] = {
        "Input": dump(build_location(ctx.input, settings.region)),
        "OutputBucket": where["Bucket"],
        "OutputLocation": where["Location"],
        "Outputs": dump([wanted]),
        "PipelineId": options.pipeline or settings.pipeline,
    }
    stand_in: Reply = {
        "JobResultList": {"JobResult": [{"Success": True, "Job": {"JobId": f"<{_plain(output.step)}.jobId>"}}]}
    }
    return Call(SERVICE, "SubmitJobs", params, "create", output.step, read=_read_result, stand_in=stand_in)


def _encoding(spec: Transcode, output: TranscodeOutput) -> dict[str, Any]:
    encoder, rung = spec.encoder, output.rung
    video: dict[str, str] = {"Codec": _CODECS[encoder.codec], "Preset": encoder.preset}
    if rung is not None:
        kbps = min(_VIDEO_KBPS[1], max(_VIDEO_KBPS[0], round(rung.video_bitrate_bps / _KBPS)))
        video |= {"Width": str(rung.width_px), "Height": str(rung.height_px), "Bitrate": str(kbps)}
        video["Maxrate"] = str(min(_VIDEO_KBPS[1], round(kbps * _PEAK)))
    elif output.size_px is not None:
        video |= {"Width": str(output.size_px[0]), "Height": str(output.size_px[1])}
    if rung is None and encoder.video_bitrate_bps:
        video["Bitrate"] = str(round(encoder.video_bitrate_bps / _KBPS))
    elif rung is None:
        video["Crf"] = f"{_CRF if encoder.crf is None else encoder.crf:g}"
    audio = {"Codec": "AAC", **({"Bitrate": str(round(rung.audio_bitrate_bps / _KBPS))} if rung is not None else {})}
    parts: dict[str, Any] = {
        "Container": {"Format": "m3u8" if spec.container == "hls" else "mp4"},
        "Video": video,
        "Audio": audio,
        "TransConfig": {"TransMode": "onepass"},
    }
    if spec.container == "hls":
        parts["MuxConfig"] = {"Segment": {"Duration": f"{spec.segment_s:g}"}}
    return parts


def _read_result(reply: Reply) -> str | Rejected:
    results: Any = reply.get("JobResultList")
    results = results.get("JobResult") if isinstance(results, Mapping) else results
    result = results[0] if isinstance(results, list) and results else None
    if not isinstance(result, Mapping):
        raise ValueError("the answer to SubmitJobs holds no result")  # noqa: TRY004  as a result without an id
    if result.get("Success") in (False, "false"):
        return Rejected(str(result.get("Code") or "Unknown"), str(result.get("Message") or "rejected without a word"))
    return read_id("Job", "JobId")(result)


def _plain(step: str) -> str:
    return step.replace("-", "_")
