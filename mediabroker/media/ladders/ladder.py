"""Which qualities a source is offered in. One law for the bits a picture needs, and no rung above its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from mediabroker.jobs import Rendition
from mediabroker.results import MediaDetails, VideoStream

__all__ = ["Rung", "bits_for", "choose_rungs", "display_size", "source_bitrate"]

_HEIGHTS_PX = (240, 360, 480, 720, 1080, 1440, 2160)
_TOO_CLOSE = 0.9
"""A rung nearly as high as the source adds nothing beside the one at the source's own height."""
_FULL_HD_PX = 1920 * 1080
_FULL_HD_BPS = 5_000_000
_GROWTH = 0.75
"""Bits grow slower than pixels: larger pictures are smoother a pixel. Close to the vendors' published ladders."""
_LOWEST_BPS = 16_000
_UNLIMITED_BPS = 1 << 40
_AUDIO_BPS = 128_000
_SMALL_PX = 360
_SMALL_AUDIO_BPS = 96_000


class Rung(NamedTuple):
    """One rendition as it will be made: both sides even, square pixels, upright."""

    name: str
    width_px: int
    height_px: int
    video_bitrate_bps: int
    audio_bitrate_bps: int


def display_size(video: VideoStream) -> tuple[int, int]:
    """Width and height in square pixels as a player shows the picture: upright, pixel aspect applied to the width."""
    width = max(1, round(video.width_px * Fraction(video.sample_aspect_ratio)))
    height = video.height_px
    return (height, width) if video.rotation_deg % 180 else (width, height)


def source_bitrate(media: MediaDetails, video: VideoStream) -> int | None:
    """Bits a second of the video, or what the whole file leaves for it; None when nothing is declared."""
    if video.bitrate_bps or not media.bitrate_bps:
        return video.bitrate_bps
    return max(_LOWEST_BPS, media.bitrate_bps - sum(audio.bitrate_bps or 0 for audio in media.audio))


def bits_for(pixels: int) -> int:
    """Bits a second that a picture of so many pixels needs to look right."""
    return round(_FULL_HD_BPS * math.pow(pixels / _FULL_HD_PX, _GROWTH))


def choose_rungs(media: MediaDetails, video: VideoStream, wanted: Sequence[Rendition] = ()) -> tuple[Rung, ...]:
    """The renditions to make, lowest first.

    Of `wanted`, what exceeds the source's height or bitrate is left out; if that leaves nothing, the smallest is made
    and held to the source. Without `wanted`: the usual heights up to the source's own.
    """
    limit_bps = _peak(media, video)
    asked = _asked(video, limit_bps, wanted) if wanted else _usual(video, limit_bps)
    return tuple(_rung(video, index, each) for index, each in enumerate(asked))


def _peak(media: MediaDetails, video: VideoStream) -> int:
    """Return the most bits a second that any rendition may take.

    A source's average says little of its peaks: slides and talks have seconds that need many times their average. So a
    picture of the source's size may always take what such a picture usually needs.
    """
    average_bps = source_bitrate(media, video)
    width, height = display_size(video)
    return max(average_bps, bits_for(width * height)) if average_bps else _UNLIMITED_BPS


def _asked(video: VideoStream, limit_bps: int, wanted: Sequence[Rendition]) -> list[tuple[int, int, int]]:
    height = display_size(video)[1]
    ordered = sorted((each.height_px, each.video_bitrate_bps, each.audio_bitrate_bps) for each in wanted)
    fitting = [each for each in ordered if each[0] <= height and each[1] <= limit_bps]
    smallest = ordered[0]
    return fitting or [(min(height, smallest[0]), min(limit_bps, smallest[1]), smallest[2])]


def _usual(video: VideoStream, limit_bps: int) -> list[tuple[int, int, int]]:
    width, height = display_size(video)
    rungs = []
    for each in [*(usual for usual in _HEIGHTS_PX if usual <= _TOO_CLOSE * height), height]:
        share = math.pow(each / height, 2 * _GROWTH)
        video_bps = min(bits_for(round(width * each * each / height)), round(limit_bps * share))
        rungs.append((each, video_bps, _AUDIO_BPS if each > _SMALL_PX else _SMALL_AUDIO_BPS))
    return rungs


def _rung(video: VideoStream, index: int, asked: tuple[int, int, int]) -> Rung:
    width, height = display_size(video)
    rung_height = max(2, asked[0] // 2 * 2)
    rung_width = max(2, round(width * rung_height / height / 2) * 2)
    # Two renditions may share a height; their names must not.
    return Rung(f"{index}_{rung_height}p", rung_width, rung_height, max(_LOWEST_BPS, asked[1]), asked[2])
