"""What a job hands back: its outputs, one entry per item where it had several, and what is known of the media."""

from __future__ import annotations

import base64
from typing import Literal

from pydantic import Field, JsonValue

from mediabroker.errors import JobError
from mediabroker.models import Value
from mediabroker.refs import MediaURI

__all__ = [
    "AudioStream",
    "CaptionTrack",
    "CaptionsResult",
    "CoverImage",
    "CoverResult",
    "Frames",
    "ImagesResult",
    "Item",
    "JobResult",
    "MediaDetails",
    "MediaInfoResult",
    "Output",
    "ProductionResult",
    "Segment",
    "SegmentsResult",
    "SpeechResult",
    "SubtitleStream",
    "Transfer",
    "VideoResult",
    "VideoStream",
]


class VideoStream(Value, frozen=True):
    """One video stream as stored: `width_px` x `height_px` are the coded picture before rotation and pixel aspect."""

    index: int = Field(ge=0)
    codec: str
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    pixel_format: str
    bit_depth: int
    frame_rate: str
    """Exact frames a second as a fraction, `30000/1001`; the average where the rate varies."""
    variable_frame_rate: bool = False
    frame_count: int | None = None
    """Only what the container declares; many declare nothing, and some are wrong."""
    duration_s: float | None = None
    bitrate_bps: int | None = None
    rotation_deg: int = 0
    """Clockwise turn a player applies for display: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether a player changes left and right after that turn, as in recordings of a mirrored front camera."""
    sample_aspect_ratio: str = "1/1"
    color_range: str | None = None
    color_matrix: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    hdr: Literal["pq", "hlg"] | None = None
    interlaced: bool = False


class AudioStream(Value, frozen=True):
    """One audio stream."""

    index: int = Field(ge=0)
    codec: str
    sample_rate_hz: int
    channels: int
    language: str | None = None
    duration_s: float | None = None
    bitrate_bps: int | None = None


class SubtitleStream(Value, frozen=True):
    """One subtitle stream."""

    index: int = Field(ge=0)
    codec: str
    language: str | None = None


class MediaDetails(Value, frozen=True):
    """What a probe tells of one media file. `container` is what the bytes are, whatever the file is called."""

    container: str
    size_bytes: int = Field(ge=0)
    duration_s: float | None = None
    start_s: float = 0.0
    bitrate_bps: int | None = None
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()


class Frames(Value, frozen=True):
    """How far the work on a video is, in frames; `per_second` is measured over the last moments."""

    done: int = Field(ge=0)
    total: int | None = Field(default=None, ge=0)
    per_second: float | None = Field(default=None, ge=0)

    def completed(self) -> Frames:
        """The same when the work is over: all frames are done, and there is no speed any more."""
        done = max(self.done, self.total or 0)
        return Frames(done=done, total=done)


class Transfer(Value, frozen=True):
    """How far the broker's own copying is, to a staging place or from one."""

    done_bytes: int = Field(ge=0)
    total_bytes: int = Field(ge=0)


class Output(Value, frozen=True):
    """One file that a job has published: verified to be there, and not empty.

    `verified=False`: the provider reports success and does not tell the names of its files, and none could be found by
    the pattern that was asked for, which is then the `uri`.
    """

    uri: MediaURI
    size_bytes: int | None = Field(default=None, ge=0)
    sha256: str | None = None
    verified: bool = True


class Item(Value, frozen=True):
    """One source (or one rendition) of a job that had several, with its own outcome.

    `exist` means that the output was there before and counts as success.
    """

    source: MediaURI
    outcome: Literal["ok", "exist", "failed"]
    output: MediaURI | None = None
    error: JobError | None = None


class JobResult(Value, frozen=True):
    """The part every result has."""

    outputs: tuple[Output, ...] = ()
    items: tuple[Item, ...] = ()


class VideoResult(JobResult, frozen=True):
    """A video (or a ladder of renditions: then the largest) and what was measured of it."""

    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    frame_count: int | None = None
    frame_rate: str | None = None
    elapsed_s: float | None = None
    """Wall time that the work itself took, without waiting in a queue."""


class ImagesResult(JobResult, frozen=True):
    """Pictures, in the order of their time in the source."""

    width_px: int | None = None
    height_px: int | None = None


class MediaInfoResult(JobResult, frozen=True):
    """A description of the input; `outputs` is empty unless the job named one."""

    media: MediaDetails | None = None


class ProductionResult(JobResult, frozen=True):
    """What a function without a typed result has found, as the JSON values that its provider answered with."""

    data: JsonValue = None


class CoverImage(Value, frozen=True):
    """One picture that would represent the video; `score` is the function's confidence, higher is better."""

    uri: MediaURI
    score: float | None = None
    at_s: float | None = Field(default=None, ge=0)
    """Where in the source it was taken."""


class CoverResult(ImagesResult, frozen=True):
    """Candidates for a cover, the best first; `covers` is empty where the function names files only."""

    covers: tuple[CoverImage, ...] = ()


class Segment(Value, frozen=True):
    """A stretch of the source, in seconds from its start."""

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    title: str = ""


class SegmentsResult(JobResult, frozen=True):
    """The stretches that were found, in order; none is an answer, too."""

    segments: tuple[Segment, ...] = ()


class CaptionTrack(Value, frozen=True):
    """One subtitle file. `language` is a code such as `zh`; None: the function did not tell languages apart."""

    uri: MediaURI
    language: str | None = None


class CaptionsResult(JobResult, frozen=True):
    """The subtitles that were read off the picture."""

    tracks: tuple[CaptionTrack, ...] = ()


class SpeechResult(JobResult, frozen=True):
    """Speech that came with the answer instead of as a file; JSON holds it in Base64."""

    audio_base64: str | None = None

    @property
    def audio(self) -> bytes | None:
        """The bytes of the audio file.

        Raises:
            ValueError: the provider did not send Base64.
        """
        return None if self.audio_base64 is None else base64.b64decode(self.audio_base64, validate=True)
