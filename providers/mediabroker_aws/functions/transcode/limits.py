"""What fits into one Lambda invocation, told before any work begins.

Source: AWS Lambda Developer Guide, "Lambda quotas": 900 s, 10,240 MB of `/tmp`.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import Rendition
from mediabroker.spi import Reply
from mediabroker_aws.functions.transcode.settings import TranscoderSettings

__all__ = ["TOO_LONG", "check_fits"]

TOO_LONG, _TOO_LARGE = "too long for Lambda", "too large for Lambda"
_USUAL_RATE = 30.0
_SHARE = 0.8
"""Of the function's time that the encoding may take; the rest is for what is moved, and for error."""
_SPARE = 1.15


def check_fits(metadata: Reply, renditions: Sequence[Rendition], settings: TranscoderSettings) -> None:
    """Pass a source (see `read_metadata`) that can be transcoded in one invocation, as far as that can be known.

    A source of unknown length passes; the worker stops in time.

    Raises:
        MediaError: `OUT_OF_RESOURCES`: it is too long or too large for Lambda, and may well run elsewhere.
    """
    duration_s = _number(metadata["duration_s"])
    work_s = duration_s * _pixels(metadata, renditions) * (_number(metadata["frame_rate"]) or _USUAL_RATE)
    work_s /= settings.pixels_per_s
    if work_s > (given_s := _SHARE * settings.worker_timeout_s):
        message = f"{TOO_LONG}: about {work_s:.0f} s of work for {duration_s:.0f} s of video, {given_s:.0f} s are given"
        raise MediaError(ErrorCode.OUT_OF_RESOURCES, message)
    bits_a_second = sum(each.video_bitrate_bps + each.audio_bitrate_bps for each in renditions)
    needed = _number(metadata["size_bytes"]) + duration_s * bits_a_second / 8 * _SPARE
    if needed > settings.worker_tmp_bytes:
        message = f"{_TOO_LARGE}: about {needed / 1e9:.1f} GB of room are needed"
        raise MediaError(ErrorCode.OUT_OF_RESOURCES, message)


def _pixels(metadata: Reply, renditions: Sequence[Rendition]) -> float:
    """Pixels of a frame that are encoded, in all renditions together."""
    width, height = _number(metadata["width_px"]), _number(metadata["height_px"])
    heights = [min(height, each.height_px) for each in renditions if each.height_px <= height] or [height]
    return sum(width * each * each / height for each in heights)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
