"""ffmpeg's arguments for a transcode, built from what the source is and what was asked for: pure functions.

Frames keep their own times (`-fps_mode passthrough` in the source's own ticks), pictures come out upright, colour tags
are written down explicitly, interlaced pictures become progressive ones, one decode serves all renditions. Outputs are
plain names in the working folder, so no caller's path reaches an option that ffmpeg would expand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import ffmpeg
from pydantic import Field

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import Rendition, Transcode, VideoEncoder
from mediabroker.media.ffmpeg.limits import MEDIA_LIMITS, MediaLimits
from mediabroker.media.ffmpeg.process import build_input_options
from mediabroker.media.ladders.ladder import Rung
from mediabroker.media.probe import Source
from mediabroker.models import Value
from mediabroker.results import AudioStream, VideoStream

__all__ = ["Alter", "TranscodeSettings", "build_hls", "build_mp4", "choose_codec", "compile_outputs", "input_of"]

Alter: TypeAlias = Callable[[Any], Any]
"""From a picture stream of ffmpeg-python to the one that shall be encoded in its place."""

_DEFAULT_CRF = 21.0
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_TEXT = frozenset({"subrip", "ass", "ssa", "mov_text", "webvtt", "text"})
_AAC_BPS_PER_CHANNEL = 64_000
_AAC_CHANNELS = 8
_TOLERATED_ERRORS = "0.01"
"""Share of frames that may be undecodable before the work counts as failed."""


class TranscodeSettings(Value):
    """What to make: the part of a `Transcode` job that does not name files."""

    container: Literal["mp4", "hls"] = "mp4"
    renditions: tuple[Rendition, ...] = ()
    segment_s: float = Field(default=6.0, ge=1, le=30)
    encoder: VideoEncoder = VideoEncoder()
    overwrite: bool = False

    @classmethod
    def of(cls, spec: Transcode) -> TranscodeSettings:
        return cls(**{name: getattr(spec, name) for name in cls.model_fields})


def choose_codec(video: VideoStream, encoder: VideoEncoder) -> Literal["libx264", "libx265"]:
    """The encoder that keeps what the source has.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED` for H.264 asked of HDR, which would be squashed to 8 bits.
    """
    if encoder.codec == "h264" and video.hdr:
        raise MediaError(
            ErrorCode.MEDIA_UNSUPPORTED,
            f"the source is HDR ({video.hdr}); use the codec auto or h265, h264 would lose it",
        )
    wanted = encoder.codec if encoder.codec != "auto" else ("h265" if video.bit_depth > 8 else "h264")
    return "libx265" if wanted == "h265" else "libx264"


def build_mp4(
    source: Source,
    settings: TranscodeSettings,
    *,
    rung: Rung | None,
    name: str = "out.mp4",
    alter: Alter | None = None,
    limits: MediaLimits = MEDIA_LIMITS,
) -> list[str]:
    """One mp4 with the first video, all audio and all text subtitles; `rung` None keeps the picture's size."""
    media, video = source.media, source.media.video[0]
    stream = input_of(source, limits)
    texts = [each for each in media.subtitles if each.codec in _TEXT]
    decoded = stream[str(video.index)]
    picture = _shape(alter(decoded) if alter else decoded, video, settings.encoder, rung)
    others = [stream[str(index)] for index in [each.index for each in source.tracks] + [each.index for each in texts]]
    options = {
        **_video_options(source, settings.encoder, rung.video_bitrate_bps if rung else None),
        **_mp4_audio(source.tracks, rung.audio_bitrate_bps if rung else None),
        **({"c:s": "mov_text"} if texts else {}),
        "f": "mp4",
        "movflags": "+faststart",
    }
    return compile_outputs(ffmpeg.output(picture, *others, name, **options))


def build_hls(
    source: Source,
    settings: TranscodeSettings,
    *,
    rungs: Sequence[Rung],
    limits: MediaLimits = MEDIA_LIMITS,
) -> list[str]:
    """One variant playlist with its segments for each rung; keyframes stand at the same times in all of them."""
    video, audio = source.media.video[0], source.tracks[:1]
    stream = input_of(source, limits)
    copies = stream[str(video.index)].filter_multi_output("split", len(rungs)) if len(rungs) > 1 else None
    outputs = []
    for number, rung in enumerate(rungs):
        picture = copies[number] if copies is not None else stream[str(video.index)]
        shaped = _shape(picture, video, settings.encoder, rung)
        options = {
            **_video_options(source, settings.encoder, rung.video_bitrate_bps, aligned_s=settings.segment_s),
            **_hls_audio(audio, rung.audio_bitrate_bps),
            **_hls_options(rung.name, settings, choose_codec(video, settings.encoder)),
        }
        outputs.append(ffmpeg.output(shaped, *(stream[str(a.index)] for a in audio), f"{rung.name}.m3u8", **options))
    return compile_outputs(ffmpeg.merge_outputs(*outputs))


def input_of(source: Source, limits: MediaLimits = MEDIA_LIMITS) -> Any:
    """The input stream of ffmpeg-python, opened by the one demuxer that its bytes have chosen."""
    return ffmpeg.input(f"file:{source.path.absolute()}", **build_input_options(source.demuxer, limits))


def compile_outputs(outputs: Any) -> list[str]:
    """All that follows the program's name."""
    arguments: list[str] = outputs.global_args("-max_error_rate", _TOLERATED_ERRORS).compile(overwrite_output=True)
    return arguments[1:]


def _shape(picture: Any, video: VideoStream, encoder: VideoEncoder, rung: Rung | None) -> Any:
    """Progressive, upright, of the wanted size with even sides, in the encoder's pixel format."""
    if video.interlaced:
        picture = picture.filter("bwdif", mode="send_frame", deint="interlaced")
    scale: dict[str, Any] = {"flags": "bicubic+accurate_rnd"}
    if rung is not None:
        scale.update(w=rung.width_px, h=rung.height_px)
    else:
        # Encoders want even sides: losing one line beats resampling them all, and a line alone is doubled.
        picture = picture.filter("crop", "max(1,trunc(iw/2)*2)", "max(1,trunc(ih/2)*2)", 0, 0)
        scale.update(w="max(2,iw)", h="max(2,ih)")
    if video.color_range:
        scale.update(in_range=video.color_range, out_range=video.color_range)
    picture = picture.filter("scale", **scale)
    if rung is not None:
        picture = picture.filter("setsar", "1")
    deep = choose_codec(video, encoder) == "libx265" and video.bit_depth > 8
    return picture.filter("format", "yuv420p10le" if deep else "yuv420p")


def _video_options(
    source: Source, encoder: VideoEncoder, bitrate_bps: int | None, *, aligned_s: float | None = None
) -> dict[str, Any]:
    video = source.media.video[0]
    codec = choose_codec(video, encoder)
    options: dict[str, Any] = {
        "c:v": codec,
        "preset": encoder.preset,
        "fps_mode:v": "passthrough",
        "enc_time_base:v": str(source.tick_s),
        **_rate(encoder, bitrate_bps),
        **_colour(video),
    }
    if codec == "libx265":
        options["tag:v"] = "hvc1"
        options["x265-params"] = "log-level=error" + (":open-gop=0:scenecut=0:keyint=100000" if aligned_s else "")
    elif aligned_s:
        options.update({"sc_threshold": 0, "g": 100_000})
    if aligned_s:
        options.update({"force_key_frames": f"expr:gte(t,n_forced*{aligned_s:g})", "forced-idr": 1})
    return options


def _rate(encoder: VideoEncoder, cap_bps: int | None) -> Mapping[str, Any]:
    """Quality decides, and a rendition's bit rate is a cap: held to it, a still picture would starve or waste."""
    target = encoder.video_bitrate_bps
    limit = cap_bps or target
    ceiling = {"maxrate:v": round(limit * 1.25), "bufsize:v": limit * 2} if limit else {}
    if cap_bps or target is None:
        return {"crf": encoder.crf if encoder.crf is not None else _DEFAULT_CRF, **ceiling}
    return {"b:v": target, **ceiling}


def _colour(video: VideoStream) -> Mapping[str, Any]:
    matrix = video.color_matrix if video.color_matrix != "gbr" else None  # RGB sources are converted
    tags = {
        "color_range": video.color_range,
        "colorspace": matrix,
        "color_primaries": video.color_primaries,
        "color_trc": video.color_transfer,
    }
    return {name: value for name, value in tags.items() if value}


def _mp4_audio(audio: Sequence[AudioStream], limit_bps: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for number, each in enumerate(audio):
        if each.codec in _MP4_AUDIO and (limit_bps is None or (each.bitrate_bps or limit_bps + 1) <= limit_bps):
            options[f"c:a:{number}"] = "copy"
        elif each.channels > _AAC_CHANNELS:
            raise MediaError(
                ErrorCode.MEDIA_UNSUPPORTED,
                f"audio stream {each.index} has {each.channels} channels; AAC in mp4 holds {_AAC_CHANNELS}, a ladder "
                "(container hls) is mixed to two",
            )
        else:
            options[f"c:a:{number}"] = "aac"
            options[f"b:a:{number}"] = _aac_bitrate(each, limit_bps)
    return options


def _aac_bitrate(audio: AudioStream, limit_bps: int | None) -> int:
    wanted = _AAC_BPS_PER_CHANNEL * max(1, audio.channels)
    return min(wanted, limit_bps) if limit_bps else wanted


def _hls_audio(audio: Sequence[AudioStream], limit_bps: int) -> dict[str, Any]:
    if not audio:
        return {}
    first = audio[0]
    if first.codec == "aac" and first.channels <= 2 and (first.bitrate_bps or limit_bps + 1) <= limit_bps:
        return {"c:a": "copy"}
    channels = min(2, max(1, first.channels))
    return {"c:a": "aac", "ac": channels, "b:a": min(limit_bps, _AAC_BPS_PER_CHANNEL * channels)}


def _hls_options(name: str, settings: TranscodeSettings, codec: str) -> dict[str, Any]:
    # Players take HEVC in fragmented mp4 only. Source: Apple, HLS Authoring Specification, 1.5.
    fragmented = codec == "libx265"
    return {
        "f": "hls",
        "hls_time": f"{settings.segment_s:g}",
        "hls_list_size": 0,
        "hls_playlist_type": "vod",
        "hls_flags": "independent_segments",
        "hls_segment_type": "fmp4" if fragmented else "mpegts",
        "hls_segment_filename": f"{name}_%05d.{'m4s' if fragmented else 'ts'}",
        **({"hls_fmp4_init_filename": f"{name}_init.mp4"} if fragmented else {}),
    }
