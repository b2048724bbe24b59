"""A media file's description for people."""

from __future__ import annotations

from fractions import Fraction

from rich.text import Text

from mediabroker.cli.units import bitrate_text, size_text
from mediabroker.results import AudioStream, MediaDetails, VideoStream

__all__ = ["media_card"]


def media_card(media: MediaDetails) -> Text:
    """One line for the file, one for each stream."""
    whole = [media.container, size_text(media.size_bytes)]
    whole += [f"{media.duration_s:.2f} s"] if media.duration_s is not None else []
    whole += [bitrate_text(media.bitrate_bps)] if media.bitrate_bps else []
    lines = [Text(" · ".join(whole), style="bold")]
    lines += [_line("video", _video(stream)) for stream in media.video]
    lines += [_line("audio", _audio(stream)) for stream in media.audio]
    lines += [_line("subtitles", [each.codec, *([each.language] if each.language else [])]) for each in media.subtitles]
    return Text("\n").join(lines)


def _line(kind: str, facts: list[str]) -> Text:
    return Text.assemble((f"{kind:10}", "dim"), " · ".join(facts))


def _video(stream: VideoStream) -> list[str]:
    facts = [stream.codec, f"{stream.width_px}×{stream.height_px}", stream.pixel_format]
    rate = float(Fraction(stream.frame_rate))
    facts.append(f"{rate:.3f}".rstrip("0").rstrip(".") + " frames/s" + (", varying" * stream.variable_frame_rate))
    facts += [f"{stream.frame_count} frames"] if stream.frame_count is not None else []
    facts += [bitrate_text(stream.bitrate_bps)] if stream.bitrate_bps else []
    facts += [f"turned {stream.rotation_deg}°"] if stream.rotation_deg else []
    facts += ["mirrored"] if stream.mirrored else []
    facts += [f"pixels {stream.sample_aspect_ratio}"] if Fraction(stream.sample_aspect_ratio) != 1 else []
    facts += [f"HDR {stream.hdr.upper()}"] if stream.hdr else []
    facts += ["interlaced"] if stream.interlaced else []
    return facts


def _audio(stream: AudioStream) -> list[str]:
    channels = {1: "mono", 2: "stereo"}.get(stream.channels, f"{stream.channels} channels")
    facts = [stream.codec, f"{stream.sample_rate_hz / 1000:g} kHz", channels]
    facts += [bitrate_text(stream.bitrate_bps)] if stream.bitrate_bps else []
    facts += [stream.language] if stream.language else []
    return facts
