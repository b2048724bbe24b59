"""A finished ladder: measured, described by its master playlist, and published so that the master comes last."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote

import av
from av.container import InputContainer
from av.error import FFmpegError

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ladders.ladder import Rung
from mediabroker.media.ladders.playlist import (
    Segment,
    Variant,
    avc_codec,
    build_master,
    hevc_codec,
    parse_segments,
    peak_bitrate,
)
from mediabroker.media.probe import Source
from mediabroker.media.publish import output_errors, publish_file, publish_folder
from mediabroker.media.source import media_errors, open_input
from mediabroker.refs import MediaURI
from mediabroker.results import Output, VideoResult

__all__ = ["ladder_result", "publish_ladder"]

_AAC_OBJECTS = {"LC": 2, "HE-AAC": 5, "HE-AACv2": 29}
"""Source: ISO/IEC 14496-3, table 1.17."""
_NEARLY_FULL_BYTES = 1 << 20


def ladder_result(seen: Source, made: Path, rungs: Sequence[Rung], frames: int) -> VideoResult:
    """What the largest rendition of the ladder in the folder `made` holds.

    Every rendition is read back: the HLS writer says nothing of a full disk and ends with exit code 0. `frames` is how
    many ffmpeg says it has encoded.

    Raises:
        MediaError: `OUT_OF_RESOURCES` when the disk is full, `PROVIDER_INTERNAL` when frames got lost otherwise.
    """
    for rung in rungs:
        written = _count_frames(made / f"{rung.name}.m3u8")
        if written != frames:
            full = shutil.disk_usage(made).free < _NEARLY_FULL_BYTES
            code = ErrorCode.OUT_OF_RESOURCES if full else ErrorCode.PROVIDER_INTERNAL
            reason = "the disk is full" if full else f"{written} of {frames} frames arrived"
            raise MediaError(code, f"the rendition {rung.name} was not written whole: {reason}")
    top = rungs[-1]
    return VideoResult(
        width_px=top.width_px,
        height_px=top.height_px,
        duration_s=sum(segment.duration_s for segment in _segments(made, top)),
        frame_count=frames,
        frame_rate=seen.media.video[0].frame_rate,
    )


def publish_ladder(
    seen: Source, made: Path, rungs: Sequence[Rung], master: Path, *, overwrite: bool
) -> tuple[Output, ...]:
    """Publish the folder `made`, then the master playlist that points into it.

    Replacing a ladder switches readers with one rename; the folder of the ladder that was replaced is removed after it.

    Raises:
        MediaError: `OUTPUT_EXISTS`, `OUTPUT_DENIED`, `OUT_OF_RESOURCES`; the master is then as it was.
    """
    described = [_variant(seen, made, rung) for rung in rungs]
    replaced = _folders_of(master) if overwrite else []
    folder = publish_folder(made, master)
    try:
        variants = [each._replace(uri=f"{folder.name}/{each.uri}") for each in described]
        written = made.parent / "master.m3u8"
        with output_errors(master):
            written.write_text(build_master(variants, fragmented=any(folder.glob("*.m4s"))), encoding="utf-8")
        publish_file(written, master, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for old in replaced:
        shutil.rmtree(old, ignore_errors=True)
    files = [master, *(folder / f"{rung.name}.m3u8" for rung in rungs)]
    return tuple(Output(uri=MediaURI(file), size_bytes=file.stat().st_size) for file in files)


def _variant(seen: Source, made: Path, rung: Rung) -> Variant:
    segments = _segments(made, rung)
    sizes = [(made / segment.name).stat().st_size for segment in segments]
    duration_s = sum(segment.duration_s for segment in segments)
    video = seen.media.video[0]
    return Variant(
        uri=f"{rung.name}.m3u8",
        width_px=rung.width_px,
        height_px=rung.height_px,
        frame_rate=Fraction(video.frame_rate),
        peak_bps=peak_bitrate(sizes, segments),
        average_bps=round(sum(sizes) * 8 / duration_s) if duration_s else 0,
        codecs=_codecs(made, rung, segments),
        hdr=video.hdr,
    )


def _count_frames(playlist: Path) -> int:
    """Whole frames in a rendition that was just made here; this playlist is our own, so it may be followed."""
    try:
        with av.open(
            str(playlist),
            format="hls",
            container_options={"protocol_whitelist": "file", "format_whitelist": "hls,mpegts,mov"},
        ) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size and not packet.is_corrupt)
    except (FFmpegError, OSError, IndexError):
        return 0


def _segments(made: Path, rung: Rung) -> list[Segment]:
    try:
        segments = parse_segments((made / f"{rung.name}.m3u8").read_text(encoding="utf-8"))
    except FileNotFoundError:
        segments = []
    if not segments:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"the rendition {rung.name} came out empty")
    return segments


def _codecs(made: Path, rung: Rung, segments: Sequence[Segment]) -> tuple[str, ...]:
    head = made / f"{rung.name}_init.mp4"
    path = head if head.exists() else made / segments[0].name
    with open_input(path) as container, media_errors(path):
        names = []
        for stream in container.streams:
            if isinstance(stream, av.VideoStream):
                extradata = stream.codec_context.extradata or _first_packet(container, stream)
                names.append(hevc_codec(extradata) if stream.codec_context.name == "hevc" else avc_codec(extradata))
            elif isinstance(stream, av.AudioStream):
                names.append(f"mp4a.40.{_AAC_OBJECTS.get(stream.profile or 'LC', 2)}")
        return tuple(names)


def _first_packet(container: InputContainer, stream: av.VideoStream) -> bytes:
    """What the first picture carries: its parameter sets, too, where it came too late for the look at the header."""
    return next((bytes(packet) for packet in container.demux(stream) if packet.size), b"")


def _folders_of(master: Path) -> list[Path]:
    """The folders that an earlier ladder at `master` made for itself; anything else it may point at is not ours."""
    try:
        lines = master.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    own = re.compile(rf"({re.escape(master.stem[:200])}-[0-9a-f]{{8}})/[^/]+\.m3u8")
    names = {match.group(1) for line in lines if (match := own.fullmatch(unquote(line)))}
    return [master.with_name(name) for name in names]
