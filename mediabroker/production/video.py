"""Functions on videos. Facts end with their source; "unverified" marks what no document at hand tells.

Source, unless another is named: Alibaba Cloud MPS, "SubmitIProductionJob" and the parameter pages of its functions.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import Self

from mediabroker.jobs import GivenURI, SmartProduction
from mediabroker.production.names import Box, OutputName, need
from mediabroker.results import CaptionsResult, CoverResult, SegmentsResult, VideoResult

__all__ = [
    "CaptionExtraction",
    "Cover",
    "FaceBeauty",
    "VideoClip",
    "VideoDelogo",
    "VideoDetext",
    "VideoGreenScreenMatting",
    "VideoH2V",
    "VideoSplit",
]


HttpURL: TypeAlias = Annotated[str, StringConstraints(pattern=r"^http://[^\s/?#@]+/\S+$")]
"""A URL without credentials that only the provider reads."""


class Cover(SmartProduction[CoverResult], frozen=True, defer_build=True):
    """The pictures that represent a video best; with `animated`, moving ones (GIF).

    There may be several, so the output's name needs `{sequenceId}`.
    """

    kind: Literal["cover"] = "cover"
    function: Literal["cover"] = "cover"
    output: OutputName = Field()
    animated: bool = False

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        need(self.output, "sequenceId", why="there is one file a cover")
        return self


class VideoClip(SmartProduction[VideoResult], frozen=True, defer_build=True):
    """A short video of the source's best moments."""

    kind: Literal["video_clip"] = "video_clip"
    function: Literal["video_clip"] = "video_clip"
    output: OutputName = Field()


class VideoDelogo(SmartProduction[VideoResult], frozen=True, defer_build=True):
    """Remove logos; from `boxes`, at most two. What a provider does without boxes is unverified."""

    kind: Literal["video_delogo"] = "video_delogo"
    function: Literal["video_delogo"] = "video_delogo"
    output: OutputName = Field()
    boxes: tuple[Box, ...] = Field(default=(), max_length=2)


class VideoDetext(SmartProduction[VideoResult], frozen=True, defer_build=True):
    """Remove text that is burned into the picture; from `boxes`, at most two."""

    kind: Literal["video_detext"] = "video_detext"
    function: Literal["video_detext"] = "video_detext"
    output: OutputName = Field()
    boxes: tuple[Box, ...] = Field(default=(), max_length=2)


class CaptionExtraction(SmartProduction[CaptionsResult], frozen=True, defer_build=True):
    """Read burned-in subtitles off the picture into an SRT file.

    Args:
        frames_per_s: how many pictures of each second are read, 2 to 10.
        region: where the subtitles are; None: the lowest quarter of the picture.
        separate_languages: Chinese and English in a file each; the name then needs `{resultType}` (`zh`, `en`) or
            `{sequenceId}`.
        style: written before each text, as `{\\an8}`, which puts it at the top.
        main_track_only: leave out what is not the main track.
    """

    kind: Literal["caption_extraction"] = "caption_extraction"
    function: Literal["caption_extraction"] = "caption_extraction"
    output: OutputName = Field()
    frames_per_s: int = Field(default=5, ge=2, le=10)
    region: Box | None = None
    separate_languages: bool = False
    style: str | None = Field(default=None, max_length=64)
    main_track_only: bool = False

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        if self.separate_languages:
            need(self.output, "resultType", "sequenceId", why="there is one file a language")
        return self


class VideoGreenScreenMatting(SmartProduction[VideoResult], frozen=True, defer_build=True):
    """Cut out what stands before a green screen: over `background` as MP4, without it as WebM with transparency."""

    kind: Literal["video_green_screen_matting"] = "video_green_screen_matting"
    function: Literal["video_green_screen_matting"] = "video_green_screen_matting"
    output: OutputName = Field()
    background: GivenURI | HttpURL | None = None
    """A picture: in an object store, or at an https or http URL that the provider fetches."""


class VideoH2V(SmartProduction[VideoResult], frozen=True, defer_build=True):
    """Landscape to portrait: crop so that what matters stays in the picture."""

    kind: Literal["video_h2v"] = "video_h2v"
    function: Literal["video_h2v"] = "video_h2v"
    output: OutputName = Field()


class FaceBeauty(SmartProduction[VideoResult], frozen=True, defer_build=True):
    """Beautify faces. Its parameters are unverified: give them in `params`, by the provider's own names."""

    kind: Literal["face_beauty"] = "face_beauty"
    function: Literal["face_beauty"] = "face_beauty"
    output: OutputName = Field()


class VideoSplit(SmartProduction[SegmentsResult], frozen=True, defer_build=True):
    """Where the slides of a recorded talk change; there is no output file."""

    kind: Literal["video_split"] = "video_split"
    function: Literal["video_split"] = "video_split"
