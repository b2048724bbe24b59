"""What must be known of a source before work starts, and the refusal of everything that could not be kept."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from av import VideoFrame
from av.container import InputContainer
from av.error import InvalidDataError
from av.sidedata.sidedata import Type as SideDataType
from av.video.stream import VideoStream

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.source import media_errors, moving_pictures, open_input
from mediabroker.media.timeline import count_frames, frame_rate_of
from mediabroker.models import Value
from neuron_worker.video.formats import Sampling, sampling_of
from neuron_worker.video.siting import Siting, find_siting

__all__ = ["Colour", "Light", "SourceFacts", "SourceWatch", "colour_of", "examine", "open_source", "video_of"]

_GENERATE_TIMES = 1
"""Source: FFmpeg libavformat/avformat.h, AVFMT_FLAG_GENPTS."""
_LOOK_FRAMES = 8
_LOOK_PACKETS = 400
_SHIFTING = frozenset({"mpegts", "mpeg"})
"""Containers whose clock starts anywhere; what they hold is moved so that it starts at zero."""
_PRECISE = frozenset({"mov", "matroska", "mpegts"})
"""Demuxers that state presentation times and find keyframes by them; others are worked on in one slice."""
_LOST: dict[SideDataType, str] = {
    SideDataType.DOVI_RPU_BUFFER: "Dolby Vision",
    SideDataType.DOVI_METADATA: "Dolby Vision",
    SideDataType.DYNAMIC_HDR_PLUS: "HDR10+ dynamic metadata",
    SideDataType.DYNAMIC_HDR_VIVID: "HDR Vivid dynamic metadata",
}


_SILENT = {
    "range": frozenset({0}),
    "matrix": frozenset({2}),
    "primaries": frozenset({0, 2}),
    "transfer": frozenset({0, 2}),
}
"""Which numbers state nothing. Source: ITU-T H.273; for the range FFmpeg libavutil/pixfmt.h."""


class Colour(Value):
    """Colour tags by their numbers in ITU-T H.273 (`range`: 1 limited, 2 full); 0 or 2 mean unspecified."""

    range: int
    matrix: int
    primaries: int
    transfer: int

    def contradicts(self, other: Colour) -> bool:
        """Whether both state something, and not the same; a frame without tags is like those before it."""
        pairs = ((tag, getattr(self, tag), getattr(other, tag)) for tag in type(self).model_fields)
        return any(one != two and not _SILENT[tag] & {one, two} for tag, one, two in pairs)


class Light(Value):
    """HDR10's static metadata in the units that x265 takes.

    `mastering` are green, blue, red and white x, y in 0.00002, then the largest and smallest luminance in 0.0001 cd/m2.
    `content` are MaxCLL and MaxFALL in cd/m2.
    """

    mastering: tuple[int, ...] | None = None
    content: tuple[int, int] | None = None


class SourceFacts(Value):
    """The video stream that is upscaled. Times are in ticks of `tick[0] / tick[1]` seconds."""

    demuxer: str
    codec: str
    width_px: int
    height_px: int
    pixel_format: str
    sampling: Sampling
    tick: tuple[int, int]
    frame_rate: tuple[int, int]
    start: tuple[int, int]
    """When the first stream starts, in seconds as a fraction."""
    sample_aspect_ratio: tuple[int, int]
    display_matrix: tuple[int, ...] | None
    colour: Colour
    siting: Siting
    light: Light
    interlaced: bool

    @property
    def tick_s(self) -> Fraction:
        """Seconds a tick, exactly."""
        return Fraction(*self.tick)

    @property
    def is_deep(self) -> bool:
        """Whether samples have more than 8 bits."""
        return self.sampling.endswith("10le")

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""
        return Fraction(*self.frame_rate)

    @property
    def origin_s(self) -> Fraction:
        """What becomes time zero in the result: recordings of live streams start hours or decades later."""
        start = Fraction(*self.start)
        return start if self.demuxer in _SHIFTING or start > 0 else Fraction(0)

    @property
    def states_shape(self) -> bool:
        """Whether the container states a pixel aspect of its own, which outranks what the pictures say."""
        return self.demuxer not in _SHIFTING

    @property
    def counts_frames(self) -> bool:
        """Whether the container only numbers its frames as they are stored: the k-th shown has the k-th number."""
        return count_frames(self.demuxer)

    @property
    def sizes_packets(self) -> bool:
        """Whether the container says how long each packet is: then a short one means that the file breaks off."""
        return self.demuxer == "mov"

    @property
    def can_be_cut(self) -> bool:
        """Whether decoding may start in the middle."""
        return self.demuxer in _PRECISE


class SourceWatch:
    """Notices that the file was replaced or written to since this was made."""

    def __init__(self, path: Path) -> None:
        self._path, self._before = path, self._look(path)

    def check(self) -> None:
        """Refuse to go on with another file than before.

        Raises:
            MediaError: `INPUT_CHANGED`.
        """
        if self._look(self._path) != self._before:
            raise MediaError(ErrorCode.INPUT_CHANGED, f"{self._path} has changed while it was worked on")

    @staticmethod
    def _look(path: Path) -> tuple[int, ...] | None:
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def open_source(path: Path) -> InputContainer:
    """The source, opened safely; frames get presentation times also where the container stores none."""
    container = open_input(path)
    container.flags |= _GENERATE_TIMES
    return container


def video_of(path: Path, container: InputContainer) -> VideoStream:
    """The stream that is upscaled: the first that is video and no cover.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED`, there is none.
    """
    streams = moving_pictures(container)
    if not streams:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} holds no video to upscale")
    return streams[0]


def examine(path: Path, *, deinterlace: bool = False) -> SourceFacts:
    """Look at the header and the first frames.

    Raises:
        MediaError: the file cannot be read, holds no video or no frame, or `MEDIA_UNSUPPORTED` because something in it
            could not be kept: Dolby Vision, alpha, more than 10 bits, RGB, interlacing without `deinterlace`.
    """
    with open_source(path) as container, media_errors(path):
        stream = video_of(path, container)
        frames = _first_frames(container, stream)
        if not frames:
            raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path}: the video stream holds no frame that can be decoded")
        facts = _facts(path, container, stream, frames)
    if facts.interlaced and not deinterlace:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} is interlaced; ask for `deinterlace` to upscale it")
    return facts


def _first_frames(container: InputContainer, stream: VideoStream) -> list[VideoFrame]:
    frames: list[VideoFrame] = []
    for number, packet in enumerate(_whole_packets(container, stream)):
        try:
            frames += packet.decode()
        except InvalidDataError:
            continue  # a recording may start between keyframes
        if len(frames) >= _LOOK_FRAMES or number >= _LOOK_PACKETS:
            break
    return frames


def _whole_packets(container: InputContainer, stream: VideoStream) -> Iterator[Any]:
    try:
        yield from container.demux(stream)
    except InvalidDataError:
        return  # the plan finds out where the file breaks off and says so


def _facts(path: Path, container: InputContainer, stream: Any, frames: list[VideoFrame]) -> SourceFacts:
    frame: Any = frames[0]
    for each in frames:
        held: Any = each.side_data  # by kind; the stubs say something else
        for kind in [kind for kind in _LOST if held.get(kind) is not None]:
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} has {_LOST[kind]}, which would be lost")
    if stream.metadata.get("alpha_mode") == "1":  # WebM keeps it beside the frames, where the decoders leave it
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} has transparency, which the output cannot hold")
    tick: Fraction = stream.time_base
    rate = frame_rate_of(stream) or Fraction(25)
    starts = [_start_of(each) for each in container.streams if each.start_time is not None]
    start = min(starts, default=Fraction(0))
    ratio: Fraction = stream.sample_aspect_ratio or Fraction(1)
    codec = stream.codec_context.codec.canonical_name
    return SourceFacts(
        demuxer=container.format.name.split(",")[0],
        codec=codec,
        width_px=frame.width,
        height_px=frame.height,
        pixel_format=frame.format.name,
        sampling=sampling_of(path, frame.format.name),
        tick=tick.as_integer_ratio(),
        frame_rate=rate.as_integer_ratio(),
        start=start.as_integer_ratio(),
        sample_aspect_ratio=ratio.as_integer_ratio(),
        display_matrix=_display_matrix(frame),
        colour=colour_of(frame),
        siting=find_siting(frame, codec),
        light=_light(frame),
        interlaced=any(each.interlaced_frame for each in frames),
    )


def _start_of(stream: Any) -> Fraction:
    start: Fraction = stream.start_time * stream.time_base
    return start


def colour_of(frame: Any) -> Colour:
    """What a frame states."""
    # The "j" formats mean full range, whatever the tag says.
    full = frame.format.name.startswith("yuvj")
    return Colour(
        range=2 if full else int(frame.color_range),
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )


def _side_data(frame: VideoFrame, kind: SideDataType) -> bytes | None:
    held: Any = frame.side_data
    found = held.get(kind)
    return bytes(found) if found is not None else None


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    content = _side_data(frame, SideDataType.DISPLAYMATRIX)
    return struct.unpack("=9i", content[:36]) if content else None


def _light(frame: VideoFrame) -> Light:
    """Source: FFmpeg libavutil/mastering_display_metadata.h, the two structures' layout; x265 documentation,
    "--master-display" and "--max-cll", for units and order."""
    mastering: tuple[int, ...] | None = None
    if content := _side_data(frame, SideDataType.MASTERING_DISPLAY_METADATA):
        numbers = struct.unpack("=22i", content[:88])
        red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y, darkest, brightest = (
            Fraction(numbers[at], numbers[at + 1] or 1) for at in range(0, 20, 2)
        )
        if numbers[20] and numbers[21]:
            places = (green_x, green_y, blue_x, blue_y, red_x, red_y, white_x, white_y)
            mastering = tuple(
                [round(place * 50_000) for place in places] + [round(brightest * 10_000), round(darkest * 10_000)]
            )
    level = _side_data(frame, SideDataType.CONTENT_LIGHT_LEVEL)
    return Light(mastering=mastering, content=struct.unpack("=2I", level[:8]) if level else None)
