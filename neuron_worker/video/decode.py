"""Decoding exactly the frames of one slice, wherever a container's seek lands."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, dropwhile
from pathlib import Path
from threading import Event
from typing import Any

from av import VideoFrame
from av.container import InputContainer
from av.error import EOFError as EndOfFileError
from av.error import InvalidDataError
from av.filter import Graph
from av.video.stream import VideoStream

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.source import media_errors
from mediabroker.media.timeline import number_frames
from neuron_worker.failures import heed
from neuron_worker.video.plan import PlannedSlice
from neuron_worker.video.source import SourceFacts, colour_of, open_source, video_of

__all__ = ["decode_slice"]

_STEPS_BACK_S = (0, 2, 8, 30)
"""How much earlier each new attempt seeks: transport streams have no index and often land late."""
_HIDDEN_FRAMES = frozenset({"vp8", "vp9", "av1"})
"""Codecs that store frames which are never shown."""
_DEINTERLACER = "bwdif"
_CONTEXT_FRAMES = 4
"""More than a deinterlacer looks around itself, so that a frame at a border sees the neighbours it always sees."""


def decode_slice(
    path: Path, facts: SourceFacts, piece: PlannedSlice, *, deinterlace: bool = False, threads: int = 2, stop: Event
) -> Iterator[VideoFrame]:
    """The frames of a slice in the order of their times, each with its `pts` in ticks of the source.

    The same frames come out as if the whole file were decoded from its beginning.

    Raises:
        InterruptedWorkError: `stop` was set.
        MediaError: `MEDIA_CORRUPT` when frames cannot be decoded, are missing, or run backwards in time;
            `MEDIA_UNSUPPORTED` when the picture changes its size, format, pixel aspect or colour tags midway or turns
            out to be interlaced.
    """
    count = 0
    stored = previous = -(1 << 62)
    with open_source(path) as container, media_errors(path):
        stream = video_of(path, container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        margin = _CONTEXT_FRAMES if deinterlace else 0
        frames: Iterator[VideoFrame] = _around(container, stream, facts, piece, margin)
        frames = (_checked(path, facts, stream, frame, deinterlace=deinterlace) for frame in frames)
        if deinterlace:
            frames = _deinterlaced(stream, facts, frames)
        for frame in frames:
            heed(stop)
            pts = _time_of(path, frame)
            if not piece.holds(pts):
                continue
            if pts < stored:
                raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path}: time does not advance at {_at(facts, pts)}")
            # Recorders that count milliseconds store two frames at one time: the second is moved by the smallest step.
            stored, frame.pts = pts, max(pts, previous + 1)
            previous, count = frame.pts, count + 1
            yield frame
    if count < piece.frames and facts.codec not in _HIDDEN_FRAMES:
        lost = f"{piece.frames - count} of {piece.frames} frames of slice {piece.index}"
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} is damaged: {lost} cannot be decoded")


def _around(
    container: InputContainer, stream: VideoStream, facts: SourceFacts, piece: PlannedSlice, margin: int
) -> Iterator[VideoFrame]:
    """The slice's frames with `margin` frames after it and whatever decoding had to start with before it."""
    behind = 0
    for frame in _from_start(container, stream, facts, piece, margin):
        yield frame
        if piece.end is not None and frame.pts is not None and frame.pts >= piece.end:
            behind += 1
            if behind > margin:
                return


def _from_start(
    container: InputContainer, stream: VideoStream, facts: SourceFacts, piece: PlannedSlice, margin: int
) -> Iterator[VideoFrame]:
    if piece.start is None or piece.seek is None:
        return number_frames(stream, container.demux(stream)) if facts.counts_frames else _decoded(container, stream)
    for back_s in _STEPS_BACK_S[bool(margin) :]:
        target = piece.seek - round(back_s / facts.tick_s)
        container.seek(target, stream=stream)
        frames = _decoded(container, stream, from_keyframe=True)
        head: list[VideoFrame] = []
        for frame in frames:
            head.append(frame)
            if frame.pts is None or frame.pts >= piece.start or len(head) > margin:
                break
        # Enough lies before the border, or the border itself was hit.
        if head and head[0].pts is not None and head[0].pts <= piece.start and (len(head) > margin):
            return chain(head, frames)
    container.seek(min(0, _first_tick(facts)), stream=stream)
    return _decoded(container, stream)


def _decoded(container: InputContainer, stream: VideoStream, *, from_keyframe: bool = False) -> Iterator[VideoFrame]:
    """All frames from here on. What cannot be decoded before the first keyframe is passed over; later it is fatal.

    With `from_keyframe` the decoder is not even given what a late seek has landed on: some invent pictures from it.
    """
    begun = False
    packets: Iterator[Any] = container.demux(stream)
    if from_keyframe:
        packets = dropwhile(lambda packet: not packet.is_keyframe, packets)
    for packet in packets:
        try:
            frames = packet.decode()
        except EndOfFileError:
            return
        except InvalidDataError:
            if begun:
                raise
            continue
        begun = begun or bool(frames)
        yield from frames


def _checked(
    path: Path, facts: SourceFacts, stream: VideoStream, frame: VideoFrame, *, deinterlace: bool
) -> VideoFrame:
    found = (frame.width, frame.height, frame.format.name)
    if found != (facts.width_px, facts.height_px, facts.pixel_format):
        change = f"from {facts.width_px}x{facts.height_px} {facts.pixel_format} to {found[0]}x{found[1]} {found[2]}"
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path}: the picture changes {change} midway")
    if facts.colour.contradicts(colour_of(frame)):
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path}: the colour tags change midway")
    shape = stream.codec_context.sample_aspect_ratio
    if shape and not facts.states_shape and shape != Fraction(*facts.sample_aspect_ratio):
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path}: the pixel aspect changes to {shape} midway")
    if frame.interlaced_frame and not deinterlace:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} turns interlaced midway; ask for `deinterlace`")
    return frame


def _deinterlaced(stream: Any, facts: SourceFacts, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """One progressive frame for each frame, at the same time."""
    graph = Graph()
    source = graph.add_buffer(template=stream, time_base=facts.tick_s)
    graph.link_nodes(source, graph.add(_DEINTERLACER, "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    for frame in chain(frames, (None,)):
        graph.vpush(frame)
        while True:
            try:
                done = graph.vpull()
            except (BlockingIOError, EndOfFileError):
                break
            assert done.time_base is not None
            assert done.pts is not None
            # bwdif halves the tick.
            done.pts, done.time_base = round(done.pts * done.time_base / facts.tick_s), facts.tick_s
            yield done


def _first_tick(facts: SourceFacts) -> int:
    numerator, denominator = facts.start
    return int(numerator / denominator / facts.tick_s) - 1


def _time_of(path: Path, frame: VideoFrame) -> int:
    if frame.pts is None:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} has a frame without a presentation time")
    return frame.pts


def _at(facts: SourceFacts, pts: int) -> str:
    return f"{float(pts * facts.tick_s):.3f} s"
