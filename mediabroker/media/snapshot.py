"""Still pictures out of a video: the very frame that is on screen at a time, upright and with square pixels."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from PIL import Image

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.limits import MEDIA_LIMITS, MediaLimits
from mediabroker.media.ladders.ladder import display_size
from mediabroker.media.probe import probe
from mediabroker.media.publish import check_output, output_errors, publish_file, workplace
from mediabroker.media.source import media_errors, moving_pictures, open_input, presented_s
from mediabroker.media.timeline import is_bare, number_frames
from mediabroker.media.tonemap import to_standard_range
from mediabroker.refs import MediaURI
from mediabroker.results import ImagesResult, Output, VideoStream

__all__ = ["frame_at", "picture_of", "snapshot"]

_STEPS_BACK_S = (0, 2, 8, 30)
"""Transport streams have no index, and a seek may land behind its goal: then look earlier, at last from the start."""
_JPEG_QUALITY = 92
_TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def snapshot(
    source: Path,
    output: Path,
    at_s: Sequence[float] = (0.0,),
    *,
    width_px: int | None = None,
    overwrite: bool = False,
    cancel: threading.Event | None = None,
    limits: MediaLimits = MEDIA_LIMITS,
) -> ImagesResult:
    """The pictures on screen at the times `at_s`, in seconds from the start, as PNG or JPEG files by `output`'s ending.

    `{index}` in `output` becomes 1, 2, ... in the order given. `width_px` scales and keeps the shape. All pictures are
    finished before the first is published.

    Raises:
        MediaError: `INVALID_SPEC` for a time after the end; otherwise as `probe` and `publish_file`, or `CANCELLED`.
    """
    finals = [Path(str(output).replace("{index}", str(number))) for number in range(1, len(at_s) + 1)]
    for final in finals:
        check_output(final, overwrite=overwrite, source=source)
    media = probe(source, limits=limits)
    if not media.video:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{source} holds no video")
    video, size = media.video[0], (0, 0)
    with workplace(finals[0]) as folder:
        made = []
        for number, (time_s, final) in enumerate(zip(at_s, finals, strict=True)):
            if cancel is not None and cancel.is_set():
                raise MediaError(ErrorCode.CANCELLED, "cancelled between two pictures")
            with open_input(source, limits=limits) as container, media_errors(source):
                picture = picture_of(frame_at(container, source, time_s), video, width_px)
            made.append(_save(picture, folder / f"{number}{final.suffix.lower()}", final))
            size = picture.size
        outputs = []
        for file, final in zip(made, finals, strict=True):
            outputs.append(Output(uri=MediaURI(final), size_bytes=file.stat().st_size))
            publish_file(file, final, overwrite=overwrite)
    return ImagesResult(outputs=tuple(outputs), width_px=size[0], height_px=size[1])


def frame_at(container: InputContainer, source: Path, time_s: float) -> av.VideoFrame:
    """The frame that is shown at `time_s` seconds after the start: the last one that began by then.

    Raises:
        MediaError: `INVALID_SPEC` when the video has ended by then, `MEDIA_CORRUPT` when no frame can be decoded.
    """
    stream = moving_pictures(container)[0]
    tick = stream.time_base or Fraction(1, av.time_base)
    start_s = Fraction(container.start_time or 0, av.time_base)
    goal = int((start_s + Fraction(str(time_s))) / tick)
    shown = _shown_at(container, source, goal, tick)
    if shown is None:
        raise MediaError(ErrorCode.INVALID_SPEC, f"{source} has no picture at {time_s:g} s; it ends before")
    return shown


def _shown_at(container: InputContainer, source: Path, goal: int, tick: Fraction) -> av.VideoFrame | None:
    stream, end = moving_pictures(container)[0], _end(container, tick)
    if is_bare(container):
        numbered = number_frames(stream, container.demux(stream))
        first = next(numbered, None)
        return None if first is None else _last_until(first, numbered, goal, end)
    for back_s in _STEPS_BACK_S:
        container.seek(goal - int(back_s / tick), stream=stream)
        frames = _timed(container, stream)
        first = next(frames, None)
        if first is not None and first.pts <= goal:
            return _last_until(first, frames, goal, end)
    container.seek(0)
    frames = _timed(container, stream)
    first = next(frames, None)
    if first is None:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{source}: no frame can be decoded")
    return _last_until(first, frames, goal, end)


def _end(container: InputContainer, tick: Fraction) -> int:
    """When the container's content ends: the last picture stands until then, under sound that goes on."""
    shown_s = Fraction(presented_s(container) or 0).limit_denominator(av.time_base)
    return int((Fraction(container.start_time or 0, av.time_base) + shown_s) / tick)


def _timed(container: InputContainer, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            yield from (frame for frame in packet.decode() if frame.pts is not None)
        except av.error.InvalidDataError:
            continue  # leading frames of an open group of pictures, or a damaged one


def _last_until(frame: Any, later: Iterator[Any], goal: int, end: int) -> av.VideoFrame | None:
    """The last frame that began by `goal`; None when it has ended by then, as everything has at `end`."""
    for following in later:
        if following.pts > goal:
            return frame  # type: ignore[no-any-return]  # frames come out of a demuxer that PyAV types loosely
        frame = following
    return frame if goal <= max(end, frame.pts + (frame.duration or int(1 / frame.time_base))) else None


def picture_of(frame: av.VideoFrame, video: VideoStream, width_px: int | None = None) -> Image.Image:
    """A decoded frame as RGB for people: upright, square pixels, HDR mapped to the standard range."""
    width, height = display_size(video)
    if width_px is not None:
        width, height = width_px, max(1, round(height * width_px / width))
    stored = (height, width) if video.rotation_deg % 180 else (width, height)
    if video.hdr:
        deep = frame.reformat(*stored, format="rgb48le", interpolation="BICUBIC").to_ndarray()
        picture = Image.fromarray(to_standard_range(deep.astype(np.float32) / 65535, video.hdr))
    else:
        plain = frame.reformat(*stored, format="rgb24", interpolation="BICUBIC").to_ndarray()
        picture = Image.fromarray(plain)
    upright = picture.transpose(_TURNS[video.rotation_deg]) if video.rotation_deg else picture
    return upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if video.mirrored else upright


def _save(picture: Image.Image, file: Path, final: Path) -> Path:
    with output_errors(final):
        picture.save(file, quality=_JPEG_QUALITY)  # PNG has no quality and ignores it
    return file
