"""The merge: a stream copy of the finished slices with everything else of the source beside it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import av

from mediabroker.errors import ErrorCode, MediaError
from neuron_worker.failures import heed
from neuron_worker.video.companions import add_companions, copy_tags, read_companions
from neuron_worker.video.containers import container_of
from neuron_worker.video.encode import muxer_refusals
from neuron_worker.video.plan import Plan
from neuron_worker.video.slicework import FinishedSlice, SliceFolder
from neuron_worker.video.source import open_source, video_of

__all__ = ["check_manifest", "merge", "verify_merged"]

_LARGEST_TIMESCALE = (1 << 31) - 1
_MATROSKA_TICK_S = Fraction(1, 1000)
"""Matroska as written here stores milliseconds. Source: FFmpeg libavformat/matroskaenc.c."""


class _Stamp(NamedTuple):
    """`duration` None: until the next one."""

    pts: int
    dts: int
    duration: int | None = None


def check_manifest(plan: Plan, folder: SliceFolder) -> list[FinishedSlice]:
    """The records of all slices of a plan, in order.

    Raises:
        MediaError: `OUTPUT_MISSING`, a slice is missing, not as it was written, or too short.
    """
    records = []
    for piece in plan.slices:
        record = folder.finished(piece.index)
        if record is None:
            raise MediaError(ErrorCode.OUTPUT_MISSING, f"slice {piece.index} is missing or not as it was written")
        records.append(record)
    if not any(record.frames for record in records):
        raise MediaError(ErrorCode.MEDIA_CORRUPT, "not one frame of the video could be decoded")
    return records


def merge(plan: Plan, source: Path, folder: SliceFolder, target: Path, *, like: Path, stop: Event) -> list[int]:
    """Write the result to `target` in the container that the suffix of `like` names; the times of all frames, in ticks.

    Raises:
        InterruptedWorkError: `stop` was set.
        MediaError: the manifest does not match the plan, or the slices do not belong together.
    """
    records = check_manifest(plan, folder)
    filled = [record for record in records if record.frames]
    muxer = container_of(like)
    with ExitStack() as stack:
        original = stack.enter_context(open_source(source))
        first = stack.enter_context(av.open(f"file:{folder.video(filled[0].index)}", format="mov"))
        options = _muxer_options(muxer, plan, original)
        result = stack.enter_context(av.open(f"file:{target.absolute()}", "w", format=muxer, container_options=options))
        template: Any = first.streams.video[0]
        video: Any = result.add_stream_from_template(template)
        video.codec_context.codec_tag = template.codec_context.codec_tag if muxer != "matroska" else "\0\0\0\0"
        video.codec_context.framerate = plan.facts.rate
        copy_tags(video_of(source, original), video)
        added = add_companions(source, original, result)
        copy_tags(original, result)
        result.set_chapters(original.chapters())
        stamps = _stamp(plan, folder, filled)
        _set_durations(stamps, plan.last_ticks, muxer)
        packets = _video_packets(plan, folder, filled, stamps, video)
        others = read_companions(source, original, added, plan.facts.origin_s)
        for packet in heapq.merge(packets, others, key=_decoding_time):
            heed(stop)
            with muxer_refusals(muxer):
                result.mux(packet)
    return sorted(stamp.pts for stamp in stamps)


def verify_merged(plan: Plan, target: Path, times: Sequence[int], muxer: str) -> None:
    """Read the result's packets again: as many frames as were upscaled, each at its time.

    Raises:
        MediaError: `OUTPUT_MISSING`, it does not hold what was written.
    """
    with av.open(f"file:{target.absolute()}", format="mov" if muxer != "matroska" else muxer) as result:
        stream = result.streams.video[0]
        found = sorted(packet.pts for packet in result.demux(stream) if packet.pts is not None)
        unit: Fraction = stream.time_base or plan.facts.tick_s
    tolerance_s = _MATROSKA_TICK_S if muxer == "matroska" else Fraction(0)
    # Matroska moves everything to make times positive; distances are what counts there.
    shift_s = (found[0] * unit - times[0] * plan.facts.tick_s) if found and tolerance_s else Fraction(0)
    if len(found) != len(times):
        raise MediaError(ErrorCode.OUTPUT_MISSING, f"the result holds {len(found)} frames instead of {len(times)}")
    for have, want in zip(found, times, strict=True):
        if abs(have * unit - want * plan.facts.tick_s - shift_s) > tolerance_s:
            raise MediaError(
                ErrorCode.OUTPUT_MISSING, f"the frame of {float(want * plan.facts.tick_s):.3f} s is not there"
            )


def _stamp(plan: Plan, folder: SliceFolder, filled: Sequence[FinishedSlice]) -> list[_Stamp]:
    """New times for every packet, in order of storage: those of the source to show, and fitting ones to decode.

    A slice's own decoding times would overlap its neighbour's. The sorted times to show, delayed by as many frames as
    the encoder reordered, rise strictly and are never later than the frame is shown, whatever the frame rate does.
    """
    shown: list[int] = []
    origin = round(plan.facts.origin_s / plan.facts.tick_s)
    for record in filled:
        assert record.first_pts is not None
        relative = [round(pts / plan.facts.tick[0]) for pts in _slice_times(plan, folder, record)]
        if len(relative) != record.frames:
            raise MediaError(ErrorCode.OUTPUT_MISSING, f"slice {record.index} holds {len(relative)} frames")
        shown += [record.first_pts - origin + pts for pts in relative]
    ordered = sorted(shown)
    if any(earlier == later for earlier, later in pairwise(ordered)):
        raise MediaError(ErrorCode.WORKER_CRASHED, "two slices hold the same frame")
    rank = {pts: place for place, pts in enumerate(ordered)}
    delay = max(place - rank[pts] for place, pts in enumerate(shown))
    # The smallest distance: with larger ones mp4's sum of durations would end before the last frame is shown.
    step = min((later - earlier for earlier, later in pairwise(ordered)), default=1)
    ahead = [ordered[0] - (delay - place) * step for place in range(delay)]
    return [_Stamp(pts, dts) for pts, dts in zip(shown, ahead + ordered, strict=False)]


def _set_durations(stamps: list[_Stamp], last_ticks: int, muxer: str) -> None:
    """Let each frame be shown until the next one, and the last for `last_ticks`; 0 leaves that to the muxer."""
    newest = max(stamps)
    durations: dict[int, int] = {}
    if muxer == "matroska":  # which stores them as they are given, and a slice's follow the order of storage
        order = sorted(range(len(stamps)), key=lambda place: stamps[place].pts)
        durations = {one: stamps[next_].pts - stamps[one].pts for one, next_ in pairwise(order)}
    elif last_ticks:
        # mp4 adds up durations as the frames are stored, some of them early: the whole must not become longer by that.
        early = min(stamps).pts - stamps[0].dts
        durations[len(stamps) - 1] = newest.pts + last_ticks - early - stamps[-1].dts
    if last_ticks:
        durations[stamps.index(newest)] = last_ticks
    for place, duration in durations.items():
        stamps[place] = stamps[place]._replace(duration=duration)


def _slice_times(plan: Plan, folder: SliceFolder, record: FinishedSlice) -> list[int]:
    with av.open(f"file:{folder.video(record.index)}", format="mov") as opened:
        stream = opened.streams.video[0]
        if stream.time_base != Fraction(1, plan.facts.tick[1]):
            raise MediaError(ErrorCode.WORKER_CRASHED, f"slice {record.index} counts time in {stream.time_base}")
        return [packet.pts for packet in opened.demux(stream) if packet.pts is not None]


def _video_packets(
    plan: Plan, folder: SliceFolder, filled: Sequence[FinishedSlice], stamps: Sequence[_Stamp], video: Any
) -> Iterator[Any]:
    numbered = iter(stamps)
    header: bytes | None = None
    for record in filled:
        with av.open(f"file:{folder.video(record.index)}", format="mov") as opened:
            stream = opened.streams.video[0]
            found = bytes(stream.codec_context.extradata or b"")
            if header is not None and found != header:
                raise MediaError(ErrorCode.WORKER_CRASHED, f"slice {record.index} was encoded with other settings")
            header = found
            for packet in opened.demux(stream):
                if packet.pts is None:
                    continue
                stamp = next(numbered)
                packet.pts, packet.dts = stamp.pts * plan.facts.tick[0], stamp.dts * plan.facts.tick[0]
                if stamp.duration is not None:
                    packet.duration = stamp.duration * plan.facts.tick[0]
                packet.stream = video
                yield packet


def _decoding_time(packet: Any) -> float:
    when = packet.dts if packet.dts is not None else packet.pts
    return float(when * packet.time_base)


def _muxer_options(muxer: str, plan: Plan, original: Any) -> dict[str, str]:
    if muxer == "matroska":
        return {}
    # Start offsets are stored in the movie's ticks: one that fits the video's and the audio's keeps them exact.
    units = [plan.facts.tick[1]] + [each.time_base.denominator for each in original.streams.audio if each.time_base]
    common = math.lcm(*units)
    return {
        "movflags": "+faststart",
        "video_track_timescale": str(plan.facts.tick[1]),
        "movie_timescale": str(common if common <= _LARGEST_TIMESCALE else plan.facts.tick[1]),
    }
