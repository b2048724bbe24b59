"""Luma as it is stored, frame by frame: upright, with the time at which it is shown, on a scale that is known."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import numpy as np
from PIL import Image

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.probe import probe
from mediabroker.media.source import media_errors, moving_pictures, open_input
from mediabroker.results import VideoStream

__all__ = ["Picture", "Samples", "Scale", "Track", "resized"]

Samples = np.ndarray[Any, np.dtype[Any]]
"""`(H, W)` luma, uint8 up to 8 bits a sample, uint16 above."""

_WITH_LUMA_PLANE = re.compile(r"(yuv[aj]?4[0-4]{2}p|gray|nv(12|21|16|24))([0-9]+le)?")
_GENERATE_TIMES = 1
"""Source: FFmpeg libavformat/avformat.h, AVFMT_FLAG_GENPTS."""


class Scale(NamedTuple):
    """What samples mean: black at 16 and white at 235 (both shifted by the bits above 8), or the full range."""

    bits: int
    full_range: bool

    @property
    def peak(self) -> int:
        return (1 << self.bits) - 1

    @property
    def dtype(self) -> type[np.uint8 | np.uint16]:
        return np.uint8 if self.bits <= 8 else np.uint16

    def convert(self, samples: Samples, source: Scale) -> Samples:
        """`samples` of the scale `source` on this one; the same array if the two are one."""
        if source == self:
            return samples
        black, white = source._ends
        ours_black, ours_white = self._ends
        unit = (samples.astype(np.float32) - black) / (white - black)
        return self.rounded(unit * (ours_white - ours_black) + ours_black)

    def rounded(self, values: Samples) -> Samples:
        whole: Samples = np.clip(np.rint(values), 0, self.peak).astype(self.dtype)
        return whole

    @property
    def _ends(self) -> tuple[int, int]:
        if self.full_range:
            return 0, self.peak
        return 16 << (self.bits - 8), 235 << (self.bits - 8)


class Picture(NamedTuple):
    """One frame: `time_s` seconds after the first frame of its file."""

    time_s: Fraction
    samples: Samples


@dataclass(frozen=True)
class Track:
    """The first video stream of a file, ready to be read from the start, any number of times."""

    path: Path
    video: VideoStream
    scale: Scale
    tick_s: Fraction
    lead_s: float
    """How long after the start of the file its first frame is shown, in seconds."""

    @classmethod
    def of(cls, path: Path) -> Track:
        """
        Raises:
            MediaError: as `probe`; `MEDIA_UNSUPPORTED` for a file without video or without a luma plane.
        """
        media = probe(path)
        if not media.video:
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} holds no video")
        video = media.video[0]
        if not _WITH_LUMA_PLANE.fullmatch(video.pixel_format):
            raise MediaError(
                ErrorCode.MEDIA_UNSUPPORTED, f"{path}: luma cannot be measured in pictures of {video.pixel_format}"
            )
        with open_input(path) as container, media_errors(path):
            tick_s = moving_pictures(container)[0].time_base or Fraction(1, 90_000)
            ticks, frame = next(_frames(container), (None, None))
            if frame is None:
                raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path}: no frame can be decoded")
            lead_s = max(float((ticks or 0) * tick_s) - (container.start_time or 0) / av.time_base, 0.0)
        return cls(path, video, Scale(video.bit_depth, video.color_range == "pc"), tick_s, lead_s)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the samples once they are upright; pixel aspect is not applied."""
        width, height = self.video.width_px, self.video.height_px
        return (height, width) if self.video.rotation_deg % 180 else (width, height)

    def pictures(self) -> Iterator[Picture]:
        """Every frame in the order of time, one at a time. What cannot be decoded is left out.

        Raises:
            MediaError: the file cannot be read, or its pictures change their size midway.
        """
        with open_input(self.path) as container, media_errors(self.path):
            first = last = None
            rate = Fraction(self.video.frame_rate) or Fraction(25)
            for number, (ticks, frame) in enumerate(_frames(container)):
                time_s = number / rate if ticks is None else ticks * self.tick_s
                first = time_s if first is None else first
                if last is not None and time_s <= last:
                    continue
                last = time_s
                yield Picture(time_s - first, self._upright(frame))

    def _upright(self, frame: Any) -> Samples:
        if (frame.width, frame.height) != (self.video.width_px, self.video.height_px):
            found = f"from {self.video.width_px}x{self.video.height_px} to {frame.width}x{frame.height}"
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{self.path}: the pictures change their size, {found}")
        plane = frame.planes[0]
        rows = np.frombuffer(plane, dtype=self.scale.dtype).reshape(plane.height, -1)[:, : frame.width]
        # A copy: the decoder may use the frame's memory again.
        turned = np.rot90(rows, -self.video.rotation_deg // 90)
        upright: Samples = (turned[:, ::-1] if self.video.mirrored else turned).copy()
        return upright


def resized(samples: Samples, size: tuple[int, int], kernel: Image.Resampling, scale: Scale) -> Samples:
    """Samples in another `(width, height)`; the kernel is widened when the picture shrinks, so nothing aliases."""
    if (samples.shape[1], samples.shape[0]) == size:
        return samples
    # Pillow works on floats here: its kernels are the textbook's (bicubic with a = -0.5, Lanczos with 3 lobes).
    picture = Image.fromarray(samples.astype(np.float32)).resize(size, kernel)
    return scale.rounded(np.asarray(picture))


def _frames(container: Any) -> Iterator[tuple[int | None, Any]]:
    """Every frame with its time in ticks, None where nothing tells it."""
    container.flags |= _GENERATE_TIMES
    stream = moving_pictures(container)[0]
    stream.thread_type = "AUTO"
    numbers: deque[int] | None = deque() if container.format.name == "avi" else None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue  # leading frames of an open group of pictures, or a damaged one
        if numbers is None:
            yield from ((frame.pts, frame) for frame in frames)
            continue
        # AVI numbers its frames as they are stored: the k-th that is shown has the k-th number.
        if packet.size and packet.dts is not None:
            numbers.append(packet.dts)
        yield from ((numbers.popleft() if numbers else None, frame) for frame in frames)
