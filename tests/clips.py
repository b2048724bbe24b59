"""Tiny real clips for tests, made with PyAV: one function per awkward kind of file, each returning the path it wrote.

Pictures are a moving gradient with a bright square, so that every frame differs and a turned or shifted picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

__all__ = [
    "make_audio_only",
    "make_clip",
    "make_cover_art",
    "make_full_range",
    "make_hdr10",
    "make_hls_as_mp4",
    "make_interlaced",
    "make_mkv_without_duration",
    "make_odd",
    "make_one_frame",
    "make_open_gop",
    "make_rotated",
    "make_ten_bit",
    "make_text",
    "make_truncated",
    "make_vfr",
    "make_with_subtitles",
    "make_zero_frames",
    "picture",
]

_SAMPLE_RATE_HZ = 48_000
_QUIET_X265 = "log-level=error"
_MASTERING = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400:hdr10=1"
)


def picture(index: int, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Frame `index` as `(height, width, 3) uint8 RGB`: a gradient that moves, and a white square top left."""
    y, x = np.mgrid[0:height, 0:width]
    red = (x * 3 + index * 5) % 200
    green = (y * 4 + index * 3) % 200
    blue = (x + y + index * 2) % 200
    rgb = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    rgb[: height // 4, : width // 4] = 255
    return rgb


def make_clip(
    path: Path,
    *,
    width: int = 64,
    height: int = 48,
    frames: int = 12,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    audio: bool = True,
    audio_codec: str = "aac",
    rotation_ccw_deg: int = 0,
    sample_aspect_ratio: Fraction | None = None,
    color: Mapping[str, int] | None = None,
    codec_options: Mapping[str, str] | None = None,
    container_format: str | None = None,
    container_options: Mapping[str, str] | None = None,
    subtitles: Path | None = None,
    paint: Callable[[int, int, int], Any] = picture,
) -> Path:
    """A clip of `frames` pictures at `rate` frames a second, with a tone of the same length unless `audio` is off.

    `pts` (in `time_base` units) overrides the even spacing; `color` sets `color_range`, `colorspace`,
    `color_primaries` and `color_trc` by their libav numbers; `paint` makes the pictures as `picture` does.
    """
    rate = Fraction(rate)
    time_base = time_base or 1 / rate
    times = list(pts) if pts is not None else [round(index / rate / time_base) for index in range(frames)]
    duration_s = float(times[-1] * time_base + 1 / rate) if times else 0.0
    with av.open(str(path), "w", format=container_format, container_options=dict(container_options or {})) as container:
        video: Any = container.add_stream(codec, rate=rate, options=dict(codec_options or {}))
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.time_base = time_base
        if sample_aspect_ratio is not None:
            video.codec_context.sample_aspect_ratio = sample_aspect_ratio
        for name, value in (color or {}).items():
            setattr(video.codec_context, name, value)
        if rotation_ccw_deg:
            video.set_display_rotation(rotation_ccw_deg)
        tone: Any = _add_tone(container, audio_codec) if audio else None
        copied = _open_subtitles(container, subtitles)
        for index, when in enumerate(times):
            container.mux(video.encode(_frame(video, paint(index, width, height), when, time_base, color or {})))
        container.mux(video.encode(None))
        if tone is not None:
            _write_tone(container, tone, duration_s)
        for packet in copied:
            container.mux(packet)
    return path


def _frame(video: Any, pixels: Any, pts: int, time_base: Fraction, color: Mapping[str, int]) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame = rgb.reformat(format=video.pix_fmt, dst_color_range=color.get("color_range"))
    for name, value in color.items():
        setattr(frame, name, value)
    frame.pts, frame.time_base = pts, time_base
    return frame


def _add_tone(container: av.container.OutputContainer, codec: str) -> Any:
    stream: Any = container.add_stream(codec, rate=_SAMPLE_RATE_HZ)
    stream.layout = "mono"
    return stream


def _write_tone(container: av.container.OutputContainer, stream: Any, duration_s: float) -> None:
    total = max(1024, round(duration_s * _SAMPLE_RATE_HZ))
    wave = (0.2 * np.sin(np.arange(total) * (2 * np.pi * 440 / _SAMPLE_RATE_HZ))).astype(np.float32)
    for start in range(0, total, 1024):
        samples = wave[np.newaxis, start : start + 1024]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE_HZ, start, Fraction(1, _SAMPLE_RATE_HZ)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _open_subtitles(container: av.container.OutputContainer, path: Path | None) -> Iterable[Any]:
    if path is None:
        return []
    with av.open(str(path), format="srt") as source:
        stream = container.add_stream_from_template(source.streams.subtitles[0])
        packets = [packet for packet in source.demux(source.streams.subtitles[0]) if packet.size]
        for packet in packets:
            packet.stream = stream
        return packets


def make_vfr(
    path: Path, *, pts_ms: Sequence[int] = (0, 20, 40, 120, 160, 240, 260, 400, 500, 520), **more: Any
) -> Path:
    """Frames at uneven times, in milliseconds."""
    return make_clip(path, pts=pts_ms, time_base=Fraction(1, 1000), rate=25, **more)


def make_rotated(path: Path, *, rotation_ccw_deg: int = -90, **more: Any) -> Path:
    """Stored lying; the display matrix turns it. -90 means that a player turns the picture 90 degrees clockwise."""
    return make_clip(path, rotation_ccw_deg=rotation_ccw_deg, **more)


def make_odd(path: Path, *, width: int = 33, height: int = 17, **more: Any) -> Path:
    """Odd width and height: 4:4:4, because x264 refuses odd sizes in 4:2:0."""
    return make_clip(path, width=width, height=height, pix_fmt=more.pop("pix_fmt", "yuv444p"), **more)


def make_ten_bit(path: Path, **more: Any) -> Path:
    """H.264 with 10 bits a sample, no HDR tags."""
    return make_clip(path, pix_fmt="yuv420p10le", **more)


def make_hdr10(path: Path, *, pix_fmt: str = "yuv420p10le", **more: Any) -> Path:
    """HEVC, main10 unless told otherwise, tagged BT.2020 and PQ, with mastering display and content light level."""
    return make_clip(
        path,
        codec="libx265",
        pix_fmt=pix_fmt,
        codec_options={"x265-params": f"{_QUIET_X265}:{_MASTERING}", "preset": "ultrafast"},
        color={"color_range": 1, "color_primaries": 9, "color_trc": 16, "colorspace": 9},
        **more,
    )


def make_full_range(path: Path, **more: Any) -> Path:
    """Luma from 0 to 255, BT.709."""
    return make_clip(path, color={"color_range": 2, "color_primaries": 1, "color_trc": 1, "colorspace": 1}, **more)


def make_interlaced(path: Path, **more: Any) -> Path:
    """H.264 coded as interlaced, top field first."""
    return make_clip(path, height=64, codec_options={"x264-params": "interlaced=1:tff=1"}, **more)


def make_open_gop(path: Path, *, frames: int = 40, keyframe_interval: int = 10, **more: Any) -> Path:
    """Open groups of pictures: frames before a keyframe in time need the group before it."""
    every = f"keyint={keyframe_interval}:min-keyint={keyframe_interval}:scenecut=0"
    options = {"x264-params": f"open-gop=1:{every}:bframes=3:b-adapt=0"}
    return make_clip(path, frames=frames, codec_options=options, **more)


def make_one_frame(path: Path, **more: Any) -> Path:
    """A video of exactly one picture."""
    return make_clip(path, frames=1, **more)


def make_zero_frames(path: Path) -> Path:
    """A video stream that is declared and empty, beside a short tone (mp4, or Matroska by the name's ending)."""
    declared = {"movflags": "empty_moov"} if path.suffix == ".mp4" else {}
    return make_clip(path, frames=0, container_options=declared)


def make_audio_only(path: Path, *, duration_s: float = 0.5) -> Path:
    """AAC and nothing else."""
    with av.open(str(path), "w") as container:
        _write_tone(container, _add_tone(container, "aac"), duration_s)
    return path


def make_with_subtitles(path: Path, **more: Any) -> Path:
    """Matroska with two lines of text (`path` must end in .mkv)."""
    text = path.with_suffix(".srt")
    text.write_text("1\n00:00:00,000 --> 00:00:00,200\nfirst\n\n2\n00:00:00,200 --> 00:00:00,400\nsecond\n")
    return make_clip(path, subtitles=text, **more)


def make_mkv_without_duration(path: Path, **more: Any) -> Path:
    """Matroska as a live recording leaves it: no duration, no index."""
    return make_clip(path, container_format="matroska", container_options={"live": "1"}, **more)


def make_cover_art(path: Path) -> Path:
    """AAC in mp4 with a picture on the cover: a video stream that is no video."""
    with av.open(str(path), "w") as container:
        tone = _add_tone(container, "aac")
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(
            cover.encode(_frame(cover, picture(0, cover.width, cover.height), 0, Fraction(1), {"color_range": 2}))
        )
        container.mux(cover.encode(None))
        _write_tone(container, tone, 0.5)
    return path


def make_truncated(path: Path, *, keep: float = 0.6, faststart: bool = True, **more: Any) -> Path:
    """The first `keep` of a clip's bytes. With `faststart` its index survives, without it the index is what is cut."""
    options = {"movflags": "faststart"} if faststart else {}
    make_clip(path, frames=more.pop("frames", 30), container_options=options, **more)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    return path


def make_text(path: Path, text: str = "This is not a video.\n") -> Path:
    """Text under a video's name."""
    path.write_text(text * 20)
    return path


def make_hls_as_mp4(path: Path, target: Path) -> Path:
    """A playlist under a video's name that makes a careless reader open `target`."""
    path.write_text(
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\n{target.resolve()}\n#EXT-X-ENDLIST\n"
    )
    return path
