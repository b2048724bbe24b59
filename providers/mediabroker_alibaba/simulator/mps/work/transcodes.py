"""Transcodes, done: a template's settings as arguments of ffmpeg.

Source: ApsaraVideo for Media Processing, SubmitJobs, "Video details", "Audio details", "Trans config details" (2021).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import ffmpeg

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.arguments import compile_outputs, input_of
from mediabroker.media.ffmpeg.binary import find_ffmpeg
from mediabroker.media.ffmpeg.process import run_ffmpeg
from mediabroker.media.ladders.ladder import display_size
from mediabroker.media.probe import Source, examine
from mediabroker_alibaba.simulator.mps.jobs import Outcome, Template
from mediabroker_alibaba.simulator.mps.settings import NOT_DONE, nested
from mediabroker_alibaba.simulator.mps.work.desk import Desk
from mediabroker_alibaba.simulator.mps.work.looks import describe_made

__all__ = ["build_arguments", "convert"]

_VIDEO = {"H.264": "libx264", "H.265": "libx265", "GIF": "gif", "WEBP": "libwebp_anim", "copy": "copy"}
_AUDIO = {"AAC": "aac", "MP3": "libmp3lame", "VORBIS": "libvorbis", "FLAC": "flac", "copy": "copy"}
_MUXERS = {"m3u8": "hls", "ts": "mpegts", "m4a": "ipod"}
_SOUND_ONLY = frozenset({"mp3", "m4a", "ogg", "flac"})
_SILENT = frozenset({"gif", "webp"})
_TURNS = {"90": ("clock",), "180": ("clock", "clock"), "270": ("cclock",)}
_SEGMENT_S = "10"
_BUFFER_KBIT = "6000"


def convert(desk: Desk) -> Outcome:
    """Make one output; of a playlist, its slices as well."""
    settings = desk.job.settings
    if NOT_DONE in settings:
        template_id = settings[NOT_DONE]["TemplateId"]
        return Outcome("InvalidParameter.TemplateNotSupported", f"{template_id} needs the vendor's model")
    made = desk.folder / "made"
    made.mkdir()
    key = PurePosixPath(desk.target.key)
    form = settings.get("Container", {}).get("Format", "mp4")
    name = key.name if form == "m3u8" else f"made.{form}"
    source = examine(desk.source)
    arguments = build_arguments(source, settings, name)
    run_ffmpeg(arguments, binary=find_ffmpeg(desk.ffmpeg), cwd=made, total_s=source.media.duration_s, cancel=desk.stop)
    final = _finished_key(str(key), made / name)
    for path in sorted(made.iterdir()):
        if path.name != name:
            desk.store(str(key.with_name(path.name)), path)
    desk.store(final, made / name)  # last: whoever sees the playlist finds its slices
    return Outcome(data=describe_made(made / name), keys=(final,))


def build_arguments(source: Source, settings: Template, name: str) -> list[str]:
    """All that follows the program's name.

    Raises:
        MediaError: `INVALID_SPEC` where the settings leave nothing to write, `MEDIA_UNSUPPORTED` where the source has
            not what they need.
    """
    form = settings.get("Container", {}).get("Format", "mp4")
    video, audio = settings.get("Video", {}), settings.get("Audio", {})
    stream = input_of(source)
    parts, options = [], dict[str, Any](f=_MUXERS.get(form, form))
    if source.media.video and video.get("Remove") != "true" and form not in _SOUND_ONLY:
        parts.append(_picture(stream["v:0"], source, settings))
        options.update(_video_options(video))
    if source.media.audio and audio.get("Remove") != "true" and form not in _SILENT:
        parts.append(stream["a:0"])
        options.update(_audio_options(audio))
    if not parts:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, "the input has neither the video nor the audio that is asked for")
    options.update(_container_options(form, name, settings), **_clip_options(settings.get("Clip", {})))
    return compile_outputs(ffmpeg.output(*parts, name, **options))


def _picture(picture: Any, source: Source, settings: Template) -> Any:
    video, shape = settings.get("Video", {}), settings.get("TransConfig", {})
    if video.get("Codec") == "copy":
        return picture
    width, height = display_size(source.media.video[0])
    for turn in _TURNS.get(video.get("Rotate", "0"), ()):
        picture = picture.filter("transpose", turn)
        width, height = height, width
    wanted = video.get("Width"), video.get("Height")
    if shape.get("IsCheckReso") == "true" and (int(wanted[0] or 0) > width or int(wanted[1] or 0) > height):
        wanted = str(width), str(height)
    scale = {"w": _even(wanted[0]) or "-2", "h": _even(wanted[1]) or "-2"}
    if wanted == (None, None):
        scale = {"w": "trunc(iw/2)*2", "h": "trunc(ih/2)*2"}
    elif None not in wanted and shape.get("AdjDarMethod") == "rescale":
        scale.update(force_original_aspect_ratio="decrease", force_divisible_by="2")
    picture = picture.filter("scale", **scale).filter("setsar", "1")
    return (
        picture if video.get("Codec") in ("GIF", "WEBP") else picture.filter("format", video.get("PixFmt", "yuv420p"))
    )


def _even(size: str | None) -> str | None:
    return None if size is None else str(int(float(size)) // 2 * 2)


def _video_options(video: Mapping[str, str]) -> dict[str, Any]:
    codec = video.get("Codec", "H.264")
    options: dict[str, Any] = {"c:v": _VIDEO[codec]}
    if codec in ("H.264", "H.265"):
        options["preset"] = video.get("Preset", "medium")
        if "Crf" in video or "Bitrate" not in video:
            options["crf"] = video.get("Crf", "23" if codec == "H.264" else "26")
        else:
            options.update({"b:v": f"{video['Bitrate']}k", "bufsize": f"{video.get('Bufsize', _BUFFER_KBIT)}k"})
        if "Maxrate" in video:
            options.update(maxrate=f"{video['Maxrate']}k", bufsize=f"{video.get('Bufsize', _BUFFER_KBIT)}k")
        if "Profile" in video and codec == "H.264":
            options["profile:v"] = video["Profile"]
        if "Gop" in video:
            options["g"] = video["Gop"]
    if "Fps" in video and codec != "copy":
        options["r"] = video["Fps"]
    return options


def _audio_options(audio: Mapping[str, str]) -> dict[str, Any]:
    codec = audio.get("Codec", "AAC")
    options: dict[str, Any] = {"c:a": _AUDIO[codec]}
    if codec != "copy":
        options.update({"ar": audio.get("Samplerate", "44100"), "ac": audio.get("Channels", "2")})
        if codec != "FLAC":
            options["b:a"] = f"{audio.get('Bitrate', '128')}k"
    return options


def _container_options(form: str, name: str, settings: Template) -> dict[str, Any]:
    if form == "m3u8":
        segment = nested(settings.get("MuxConfig", {}).get("Segment"))
        return {
            "hls_time": str(segment.get("Duration") or _SEGMENT_S),
            "hls_playlist_type": "vod",
            "start_number": "1",
            "hls_segment_filename": f"{PurePosixPath(name).stem}-%05d.ts",
        }
    return {"movflags": "+faststart"} if form in ("mp4", "m4a") else {}


def _clip_options(clip: Mapping[str, str]) -> dict[str, Any]:
    """Seek and duration; seeking happens while decoding, so that it is exact."""
    span = nested(clip.get("TimeSpan"))
    options: dict[str, Any] = {}
    if span.get("Seek"):
        options["ss"] = str(span["Seek"])
    if span.get("Duration"):
        options["t"] = str(span["Duration"])
    return options


def _finished_key(pattern: str, made: Path) -> str:
    """The key with what only the finished file can tell."""
    if "{DestMd5}" not in pattern and "{DestAvgBitrate}" not in pattern:
        return pattern
    digest = hashlib.md5(made.read_bytes(), usedforsecurity=False).hexdigest()
    bitrate = str(describe_made(made).get("Bitrate", ""))
    return pattern.replace("{DestMd5}", digest).replace("{DestAvgBitrate}", bitrate)
