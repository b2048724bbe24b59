"""Transcode one video to an mp4 file, or to an HLS ladder with its master playlist."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.arguments import Alter, TranscodeSettings, build_hls, build_mp4, choose_codec
from mediabroker.media.ffmpeg.binary import describe_ffmpeg, find_ffmpeg
from mediabroker.media.ffmpeg.failures import truncation
from mediabroker.media.ffmpeg.limits import MEDIA_LIMITS, PROCESS_LIMITS, MediaLimits, ProcessLimits
from mediabroker.media.ffmpeg.process import Finished, run_ffmpeg
from mediabroker.media.ffmpeg.progress import Progress
from mediabroker.media.ladders.hls import ladder_result, publish_ladder
from mediabroker.media.ladders.ladder import choose_rungs
from mediabroker.media.probe import Source, examine
from mediabroker.media.publish import check_output, publish_file, workplace
from mediabroker.media.source import media_errors, moving_pictures, open_input
from mediabroker.media.timeline import end_of, frame_rate_of
from mediabroker.refs import MediaURI
from mediabroker.results import Output, VideoResult

__all__ = ["TranscodeSettings", "transcode"]

_SHORTFALL_S = 0.25
_SHORTFALL_FRAMES = 3


class _Task(NamedTuple):
    """One transcode: what goes in, what is wanted, where to work, and how ffmpeg is run (arguments, `cwd=`)."""

    source: Source
    output: Path
    settings: TranscodeSettings
    folder: Path
    run: Callable[..., Finished]
    limits: MediaLimits
    alter: Alter | None


def transcode(
    source: Path,
    output: Path,
    settings: TranscodeSettings,
    *,
    alter: Alter | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    ffmpeg: Path | None = None,
    limits: ProcessLimits = PROCESS_LIMITS,
    media_limits: MediaLimits = MEDIA_LIMITS,
) -> VideoResult:
    """Re-encode `source`; the result stands at `output` whole, or nothing new does.

    For HLS, `output` is the master playlist; variants and segments lie in one folder beside it and are there before it.
    Returns what was measured of the result (of the largest rendition). For mp4, `alter` puts filters between decoder
    and encoder.

    Raises:
        MediaError: anything about the input, the output, limits, cancelling or time; nothing stands at `output` then.
        ConfigurationError: no usable ffmpeg.
    """
    started = time.monotonic()
    check_output(output, overwrite=settings.overwrite, source=source)
    seen = examine(source, limits=media_limits)
    binary = find_ffmpeg(ffmpeg)
    _check_request(seen, settings, binary)
    total_s = seen.media.video[0].duration_s or seen.media.duration_s
    run = partial(run_ffmpeg, binary=binary, limits=limits, total_s=total_s, on_progress=on_progress, cancel=cancel)
    make = _make_hls if settings.container == "hls" else _make_mp4
    with workplace(output) as folder:
        result = make(_Task(seen, output, settings, folder, run, media_limits, alter))
    return result.model_copy(update={"elapsed_s": round(time.monotonic() - started, 3)})


def _check_request(seen: Source, settings: TranscodeSettings, binary: Path) -> None:
    if not seen.media.video:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{seen.path} holds no video, only {_other(seen)}")
    if settings.renditions and settings.encoder.video_bitrate_bps is not None:
        raise MediaError(
            ErrorCode.INVALID_SPEC, "encoder.video_bitrate_bps and renditions both set a bitrate; give one"
        )
    codec = choose_codec(seen.media.video[0], settings.encoder)
    if codec not in describe_ffmpeg(binary).encoders:
        raise MediaError(ErrorCode.UNSUPPORTED, f"the ffmpeg at {binary} was built without {codec}")


def _other(seen: Source) -> str:
    return "audio" if seen.media.audio else "other streams"


def _make_mp4(task: _Task) -> VideoResult:
    media, settings = task.source.media, task.settings
    rung = choose_rungs(media, media.video[0], settings.renditions)[0] if settings.renditions else None
    made = task.folder / "out.mp4"
    arguments = build_mp4(task.source, settings, rung=rung, name=made.name, alter=task.alter, limits=task.limits)
    finished = task.run(arguments, cwd=task.folder)
    measured = _measure(made)
    _check_whole(task.source, finished, measured.frames, measured.duration_s)
    size_bytes = made.stat().st_size
    publish_file(made, task.output, overwrite=settings.overwrite)
    return VideoResult(
        outputs=(Output(uri=MediaURI(task.output), size_bytes=size_bytes),),
        width_px=measured.width_px,
        height_px=measured.height_px,
        duration_s=measured.duration_s,
        frame_count=measured.frames,
        frame_rate=measured.frame_rate,
    )


def _make_hls(task: _Task) -> VideoResult:
    source, settings = task.source, task.settings
    rungs = choose_rungs(source.media, source.media.video[0], settings.renditions)
    made = task.folder / "ladder"
    made.mkdir()
    finished = task.run(build_hls(source, settings, rungs=rungs, limits=task.limits), cwd=made)
    result = ladder_result(source, made, rungs, finished.progress.frames)
    _check_whole(source, finished, finished.progress.frames, result.duration_s or 0.0)
    outputs = publish_ladder(source, made, rungs, task.output, overwrite=settings.overwrite)
    return result.model_copy(update={"outputs": outputs})


class _Measured(NamedTuple):
    width_px: int
    height_px: int
    frames: int
    duration_s: float
    frame_rate: str


def _measure(path: Path) -> _Measured:
    """What the finished file really holds, packet by packet."""
    with open_input(path) as container, media_errors(path):
        stream = moving_pictures(container)[0]
        shown = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        ]
        rate = frame_rate_of(stream)
        return _Measured(
            width_px=stream.width,
            height_px=stream.height,
            frames=len(shown),
            duration_s=float(end_of(stream, shown) * (stream.time_base or 0)) if shown else 0.0,
            frame_rate=f"{rate.numerator}/{rate.denominator}" if rate else "0/1",
        )


def _check_whole(seen: Source, finished: Finished, frames: int, duration_s: float) -> None:
    """ffmpeg ends with exit code 0 when the input merely stops; a shorter result is no success.

    Raises:
        MediaError: `MEDIA_CORRUPT`.
    """
    video = seen.media.video[0]
    if said := truncation(finished.stderr):
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{seen.path} breaks off: {said.strip()}")
    if frames == 0:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{seen.path}: no frame could be decoded")
    numerator, _, denominator = video.frame_rate.partition("/")
    frame_s = int(denominator) / int(numerator) if int(numerator) else 0.0
    if video.duration_s and duration_s + max(_SHORTFALL_S, _SHORTFALL_FRAMES * frame_s) < video.duration_s:
        found = f"only {duration_s:.2f} s of {video.duration_s:.2f} s could be decoded"
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{seen.path} is damaged or incomplete: {found}")
