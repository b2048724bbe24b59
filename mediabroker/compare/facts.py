"""What is known of the two files, in words and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ladders.ladder import display_size
from mediabroker.media.probe import probe
from mediabroker.media.source import media_errors, moving_pictures, open_input
from mediabroker.results import MediaDetails, VideoStream

__all__ = ["Facts", "Row"]


class Row(NamedTuple):
    """One property of both files."""

    name: str
    source: str
    result: str


@dataclass(frozen=True)
class Facts:
    """Both files as they were probed, and their frames as they were counted (packets of the video stream)."""

    title: str
    method: str
    elapsed_s: float | None
    source: MediaDetails
    result: MediaDetails
    source_frames: int
    result_frames: int

    @classmethod
    def of(cls, source: Path, result: Path, *, method: str, elapsed_s: float | None) -> Facts:
        return cls(
            title=source.name,
            method=method,
            elapsed_s=elapsed_s,
            source=_probed(source),
            result=_probed(result),
            source_frames=_count_frames(source),
            result_frames=_count_frames(result),
        )

    @property
    def source_video(self) -> VideoStream:
        return self.source.video[0]

    @property
    def result_video(self) -> VideoStream:
        return self.result.video[0]

    @property
    def headline(self) -> str:
        return f"{_size(self.source_video)} → {_size(self.result_video)}"

    @property
    def figures(self) -> Sequence[tuple[str, str]]:
        """The few numbers that matter, each with its name."""
        larger = display_size(self.result_video)[0] / display_size(self.source_video)[0]
        figures = [(f"{larger:.3g}×", "width and height")]
        if self.source_frames == self.result_frames:
            figures.append((f"{self.result_frames:,}".replace(",", " "), "frames, as many as before"))
        else:
            figures.append((f"{self.source_frames} → {self.result_frames}", "frames"))
        if self.elapsed_s:
            figures.append((f"{self.elapsed_s:.1f} s", "of work"))
            figures.append((f"{self.result_frames / self.elapsed_s:.1f}", "frames a second"))
        return figures

    @property
    def rows(self) -> Sequence[Row]:
        """The table: the same property of both files."""
        pairs = (self.source_video, self.result_video)
        media = (self.source, self.result)
        listed = [
            Row("Picture", *(_size(each) for each in pairs)),
            Row("Frames", str(self.source_frames), str(self.result_frames)),
            Row("Frame rate", *(_rate(each) for each in pairs)),
            Row("Duration", *(_duration(each) for each in media)),
            Row("Video", *(_codec(each) for each in pairs)),
            Row("Sound", *(_sound(each) for each in media)),
            Row("File", *(f"{each.size_bytes / 1e6:.2f} MB" for each in media)),
        ]
        return [row for row in listed if row.source or row.result]


def _probed(path: Path) -> MediaDetails:
    media = probe(path)
    if not media.video:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} holds no video")
    return media


def _count_frames(path: Path) -> int:
    with open_input(path) as container, media_errors(path):
        packets = container.demux(moving_pictures(container)[0])
        # What an edit list hides is shown by nobody.
        return sum(1 for packet in packets if packet.size and not packet.is_discard)


def _size(video: VideoStream) -> str:
    width, height = display_size(video)
    return f"{width} × {height}"


def _rate(video: VideoStream) -> str:
    rate = f"{float(Fraction(video.frame_rate)):.3f}".rstrip("0").rstrip(".")
    return f"{rate} a second" + (", varying" if video.variable_frame_rate else "")


def _duration(media: MediaDetails) -> str:
    return "" if media.duration_s is None else f"{media.duration_s:.2f} s"


def _codec(video: VideoStream) -> str:
    return f"{video.codec}, {video.bit_depth} bit" + (f", HDR {video.hdr.upper()}" if video.hdr else "")


def _sound(media: MediaDetails) -> str:
    return ", ".join(f"{each.codec} {each.sample_rate_hz / 1000:g} kHz" for each in media.audio) or "none"
