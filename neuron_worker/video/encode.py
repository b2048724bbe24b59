"""Encoding one slice: a video-only mp4 whose first frame is at zero, with the source's ticks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av import Packet
from av.error import FFmpegError
from av.video.frame import PictureType

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import VideoEncoder
from neuron_worker.runtimes.protocol import Luma
from neuron_worker.video.frames import Canvas
from neuron_worker.video.source import Light, SourceFacts

__all__ = ["SliceWriter", "codec_of", "muxer_refusals"]

_DEFAULT_CRF = 18.0
_LARGEST_SIDE_PX = 16_384
_LARGEST_TIMESCALE = (1 << 31) - 1
_LARGEST_REORDER = 32
"""More frames than an encoder holds back to store them in another order. Source: H.264 and H.265, 16 each."""
_ENCODERS = {"h264": "libx264", "h265": "libx265"}


def codec_of(settings: VideoEncoder, facts: SourceFacts, scale: int) -> str:
    """`h264` or `h265`: what was asked for, or what keeps the source's depth.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED`, the result would not fit the codec.
    """
    deep = facts.is_deep
    if settings.codec == "h264" and deep:
        raise MediaError(
            ErrorCode.MEDIA_UNSUPPORTED, "10-bit video needs h265; h264 with 10 bits plays hardly anywhere"
        )
    if max(facts.width_px, facts.height_px) * scale > _LARGEST_SIDE_PX:
        size = f"{facts.width_px * scale}x{facts.height_px * scale}"
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"the result would be {size}; {_LARGEST_SIDE_PX} is the limit")
    if facts.tick[1] > _LARGEST_TIMESCALE:
        raise MediaError(
            ErrorCode.MEDIA_UNSUPPORTED, f"the source counts time in 1/{facts.tick[1]} s, too fine for mp4"
        )
    if settings.codec == "auto":
        return "h265" if deep else "h264"
    return settings.codec


@contextmanager
def muxer_refusals(muxer: str) -> Iterator[None]:
    """What a muxer does not take lies in the source, and is refused again with every try; trouble with the disk is not.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED`.
    """
    try:
        yield
    except FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise MediaError(
            ErrorCode.MEDIA_UNSUPPORTED, f"{muxer} cannot hold what the source has: {error.strerror}"
        ) from error


class SliceWriter:
    """Writes frames with the source's timestamps; use it with `with`, which finishes the file.

    The bytes depend on frames and settings alone, not on how many processors the machine has.
    """

    def __init__(self, path: Path, facts: SourceFacts, step: int, settings: VideoEncoder, scale: int) -> None:
        self._facts, self._step = facts, step
        self.first_pts: int | None = None
        """When the first frame is shown, in ticks of the source."""
        self._given: list[int] = []
        self._written: list[int] = []
        # The encoder writes its unit into the stream as the frame rate, so it counts in the coarsest that is exact.
        self._unit = step * facts.tick_s
        # mp4 counts in 1/N seconds; a source that counts in M/N fits as well.
        # The movie counts alike: in its default, 1/1000 s, an edit of a short slice would be rounded, and hide frames.
        options = dict.fromkeys(("video_track_timescale", "movie_timescale"), str(facts.tick[1]))
        self._container = av.open(f"file:{path.absolute()}", "w", format="mp4", container_options=options)
        self._stream = self._open_stream(codec_of(settings, facts, scale), settings, scale)

    def __enter__(self) -> SliceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._mux(self._stream.encode(None))
        finally:
            self._container.close()
        if kind is None and sorted(self._written) != self._given:
            raise MediaError(
                ErrorCode.WORKER_CRASHED,
                f"the encoder got {len(self._given)} frames and wrote {len(self._written)}, or moved them in time",
            )

    def write(self, canvas: Canvas, luma: Luma) -> None:
        """Encode the frame that `canvas` and `luma` make; times rise from frame to frame."""
        frame = canvas.paint(luma)
        if self.first_pts is None:
            self.first_pts = canvas.pts
        frame.pts = (canvas.pts - self.first_pts) // self._step
        frame.duration = round(canvas.duration / self._step)
        frame.time_base = self._unit
        frame.pict_type = PictureType.NONE  # the source's choice of I, P and B is none of this encoder's business
        colour = self._facts.colour
        frame.color_range, frame.colorspace = colour.range, colour.matrix
        frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
        self._given.append(frame.pts)
        self._mux(self._stream.encode(frame))

    @property
    def frames(self) -> int:
        """How many frames were given."""
        return len(self._given)

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        for packet in packets:
            assert packet.pts is not None
            # The merge replaces decoding times. x265's cannot be used: for a few frames it gives arbitrary ones.
            packet.dts = len(self._written) - _LARGEST_REORDER
            # Muxing changes the packet's unit, so its time is noted before.
            self._written.append(round(packet.pts * packet.time_base / self._unit))
            with muxer_refusals("mp4"):
                self._container.mux(packet)

    def _open_stream(self, codec: str, settings: VideoEncoder, scale: int) -> Any:
        facts = self._facts
        height = facts.height_px * scale
        options = _x264_options(height, facts.light) if codec == "h264" else _x265_options(height, facts.light)
        options["preset"] = settings.preset
        if facts.siting != "left":  # what every player takes for granted needs no words
            options["chroma_sample_location"] = facts.siting
        if settings.video_bitrate_bps is None:
            options["crf"] = str(_DEFAULT_CRF if settings.crf is None else settings.crf)
        stream: Any = self._container.add_stream(_ENCODERS[codec], rate=Fraction(*facts.frame_rate), options=options)
        context = stream.codec_context
        context.width, context.height = facts.width_px * scale, height
        context.pix_fmt = facts.sampling
        context.time_base = self._unit
        context.thread_type = "FRAME"  # PyAV's default cuts each picture into slices, which costs 2 % more bits
        context.sample_aspect_ratio = Fraction(*facts.sample_aspect_ratio)
        context.color_range, context.colorspace = facts.colour.range, facts.colour.matrix
        context.color_primaries, context.color_trc = facts.colour.primaries, facts.colour.transfer
        if settings.video_bitrate_bps is not None:
            context.bit_rate = settings.video_bitrate_bps
        if codec == "h265":
            context.codec_tag = "hvc1"  # the only tag that Apple's players take
        if facts.display_matrix is not None:
            stream.set_display_matrix(facts.display_matrix)
        return stream


def _threads_for(height: int) -> int:
    # Encoders give other bytes with other thread counts, so the picture decides and not the machine. Each thread holds
    # a frame and what belongs to it, at 2160p 60 MB.
    return max(1, min(6, height // 180))


def _x264_options(height: int, light: Light) -> dict[str, str]:
    """Source: x264's help, "--mastering-display" and "--cll", which take x265's units."""
    # Without it, x264 gives other bytes on other instruction sets, and with AVX-512 in each process anew.
    words = ["cpu-independent=1"]
    mastering, content = _light_words(light)
    words += [f"mastering-display={mastering}"] if mastering else []
    words += [f"cll={content}"] if content else []
    return {"threads": str(_threads_for(height)), "x264-params": ":".join(words)}


def _x265_options(height: int, light: Light) -> dict[str, str]:
    """Source: x265 documentation, "Threading, performance" and "VUI options"."""
    # Its pictures are the same on every instruction set, but the note of its settings names the processor's: no note.
    words = ["log-level=error", "info=0", f"frame-threads={_threads_for(height)}", "lookahead-slices=0"]
    mastering, content = _light_words(light)
    words += ["hdr10=1", f"master-display={mastering}"] if mastering else []
    words += [f"max-cll={content}"] if content else []
    # Closed captions; the wrapper of x264 writes them unasked.
    return {"x265-params": ":".join(words), "a53cc": "1"}


def _light_words(light: Light) -> tuple[str | None, str | None]:
    """Mastering display and content light level as both encoders take them."""
    mastering = None
    if light.mastering is not None:
        gx, gy, bx, by, rx, ry, wx, wy, brightest, darkest = light.mastering
        mastering = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({brightest},{darkest})"
    return mastering, f"{light.content[0]},{light.content[1]}" if light.content else None
