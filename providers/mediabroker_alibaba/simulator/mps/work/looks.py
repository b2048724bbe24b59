"""Snapshots and media information, done; and how MPS describes a file: every value is text.

Source: ApsaraVideo for Media Processing, "Properties details", "Streams details", SubmitSnapshotJob, "SnapshotConfig".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from PIL import Image

from mediabroker.errors import MediaError
from mediabroker.media.probe import probe
from mediabroker.media.snapshot import snapshot
from mediabroker.results import AudioStream, MediaDetails, VideoStream
from mediabroker_alibaba.simulator.mps.answers import Json
from mediabroker_alibaba.simulator.mps.jobs import Outcome
from mediabroker_alibaba.simulator.mps.work.desk import Desk
from mediabroker_alibaba.simulator.mps.work.naming import count_key

__all__ = ["describe_made", "look", "shoot"]

_PICTURES_LIMIT = 1000


def look(desk: Desk) -> Outcome:
    """The properties of the input."""
    media = probe(desk.source, images=True)
    return Outcome(data={**_properties(media), "MD5": _md5(desk.source)})


def shoot(desk: Desk) -> Outcome:
    """Pictures at `Time`, and every `Interval` seconds from there, `Num` of them or until the end.

    `FrameType` `intra` asks for the nearest key frame; this takes the exact one, which `normal` asks for.
    """
    config = desk.job.config
    media = probe(desk.source)
    times_s = _times(config, media.duration_s or 0.0)
    width, height = (int(str(config[name])) if config.get(name) else None for name in ("Width", "Height"))
    if height and not width and media.video:
        width = max(1, round(height * media.video[0].width_px / media.video[0].height_px))
    pictures = snapshot(desk.source, desk.folder / "{index}.jpg", times_s, width_px=width, cancel=desk.stop)
    keys = []
    for number in range(1, len(pictures.outputs) + 1):
        path = desk.folder / f"{number}.jpg"
        if width and height:
            with Image.open(path) as picture:
                picture.resize((width, height)).save(path, quality=92)
        keys.append(count_key(desk.target.key, number))
        desk.store(keys[-1], path)
    return Outcome(keys=tuple(keys))


def _times(config: Mapping[str, Json], duration_s: float) -> list[float]:
    if isinstance(listed := config.get("TimeArray"), list) and listed:
        return [float(str(each)) / 1000 for each in listed][:_PICTURES_LIMIT]
    first_s, interval_s = float(str(config.get("Time") or 0)) / 1000, float(str(config.get("Interval") or 10))
    if config.get("Num"):
        wanted = int(str(config["Num"]))
    else:
        wanted = int((duration_s - first_s) / interval_s) + 1 if config.get("Interval") else 1
    times_s = [first_s + index * interval_s for index in range(min(max(wanted, 1), _PICTURES_LIMIT))]
    return [each for each in times_s if each <= duration_s] or times_s[:1]


def describe_made(path: Path) -> dict[str, Json]:
    """The properties of an output; of what cannot be looked into (a playlist, a GIF) only its size."""
    try:
        return _properties(probe(path, images=True))
    except MediaError:
        return {"FileSize": str(path.stat().st_size), "FileFormat": path.suffix.removeprefix(".")}


def _properties(media: MediaDetails) -> dict[str, Json]:
    video = media.video[0] if media.video else None
    bitrate = _kbps(media.bitrate_bps)
    return {
        "Width": str(video.width_px) if video else None,
        "Height": str(video.height_px) if video else None,
        "Fps": _fps(video) if video else None,
        "Duration": _seconds(media.duration_s),
        "Bitrate": bitrate,
        "FileSize": str(media.size_bytes),
        "FileFormat": media.container,
        "Format": {
            "NumStreams": str(len(media.video) + len(media.audio) + len(media.subtitles)),
            "FormatName": media.container,
            "StartTime": _seconds(media.start_s),
            "Duration": _seconds(media.duration_s),
            "Size": str(media.size_bytes),
            "Bitrate": bitrate,
        },
        "Streams": {
            "VideoStreamList": {"VideoStream": [_video(each) for each in media.video]},
            "AudioStreamList": {"AudioStream": [_audio(each) for each in media.audio]},
            "SubtitleStreamList": {
                "SubtitleStream": [{"Index": str(each.index), "Lang": each.language} for each in media.subtitles]
            },
        },
    }


def _video(stream: VideoStream) -> dict[str, Json]:
    return {
        "Index": str(stream.index),
        "CodecName": stream.codec,
        "Width": str(stream.width_px),
        "Height": str(stream.height_px),
        "Fps": _fps(stream),
        "AvgFPS": _fps(stream),
        "PixFmt": stream.pixel_format,
        "Sar": stream.sample_aspect_ratio.replace("/", ":"),
        "NumFrames": str(stream.frame_count) if stream.frame_count else None,
        "Duration": _seconds(stream.duration_s),
        "Bitrate": _kbps(stream.bitrate_bps),
    }


def _audio(stream: AudioStream) -> dict[str, Json]:
    return {
        "Index": str(stream.index),
        "CodecName": stream.codec,
        "Samplerate": str(stream.sample_rate_hz),
        "Channels": str(stream.channels),
        "Lang": stream.language,
        "Duration": _seconds(stream.duration_s),
        "Bitrate": _kbps(stream.bitrate_bps),
    }


def _fps(stream: VideoStream) -> str:
    return f"{float(Fraction(stream.frame_rate)):.6g}"


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _kbps(value: int | None) -> str | None:
    return None if value is None else f"{value / 1000:.3f}"


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
