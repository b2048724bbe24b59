"""Slices are ranges of time: together they give exactly the frames that an unbroken decode gives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
import pytest

from neuron_worker.video.decode import decode_slice
from neuron_worker.video.frames import plane_view
from neuron_worker.video.plan import PlannedSlice, make_slices
from neuron_worker.video.source import SourceFacts, examine
from tests import clips

Digest = tuple[int, str]


def make_hevc_open_gop(path: Path) -> Path:
    words = "log-level=error:open-gop=1:keyint=10:min-keyint=10:scenecut=0:bframes=3"
    return clips.make_clip(path, codec="libx265", frames=40, codec_options={"x265-params": words})


def make_one_gop(path: Path) -> Path:
    return clips.make_clip(path, frames=40, codec_options={"x264-params": "keyint=infinite"})


def make_mpeg2(path: Path) -> Path:
    return clips.make_clip(path, codec="mpeg2video", frames=40, codec_options={"g": "12", "bf": "2"}, audio_codec="mp2")


def make_mpeg4(path: Path) -> Path:
    """Its decoder makes pictures even of what builds on frames that it was not given."""
    return clips.make_clip(path, codec="mpeg4", frames=60, codec_options={"g": "12", "bf": "2"}, audio=False)


def make_vp9(path: Path) -> Path:
    options = {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "8", "deadline": "realtime", "cpu-used": "8"}
    return clips.make_clip(path, codec="libvpx-vp9", frames=30, codec_options=options, audio=False)


def make_late(path: Path) -> Path:
    times = list(range(5500, 6700, 40))
    return clips.make_clip(path, pts=times, time_base=Fraction(1, 1000), audio=False)


def make_vfr(path: Path) -> Path:
    times = (0, 20, 40, 120, 160, 240, 260, 400, 500, 520)
    pts = [second * 600 + each for second in range(4) for each in times]
    return clips.make_vfr(path, pts_ms=pts, codec_options={"x264-params": "keyint=8:min-keyint=8:scenecut=0:bframes=3"})


def make_live(path: Path) -> Path:
    return clips.make_mkv_without_duration(path, frames=30)


@pytest.mark.parametrize("slice_s", [0.3, 0.48, 1.0])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (clips.make_open_gop, "open.mp4"),
        (clips.make_open_gop, "open.mkv"),
        (clips.make_open_gop, "open.ts"),
        (make_hevc_open_gop, "hevc.mkv"),
        (make_hevc_open_gop, "hevc.ts"),
        (make_one_gop, "long.mp4"),
        (make_mpeg2, "mpeg2.ts"),
        (make_mpeg4, "mpeg4.ts"),
        (make_vp9, "vp9.mkv"),
        (make_vfr, "vfr.mkv"),
        (make_vfr, "vfr.mp4"),
        (make_late, "late.mkv"),
        (make_live, "live.mkv"),
    ],
)
def test_slices_together_are_the_unbroken_video(
    make: Callable[[Path], Path], name: str, slice_s: float, tmp_path: Path
) -> None:
    source = make(tmp_path / name)
    facts = examine(source)
    pieces = make_slices(source, facts, slice_s, stop=Event()).slices
    assert len(pieces) > 1
    whole = digests(all_frames(source))
    assert [each for piece in pieces for each in slice_digests(source, facts, piece)] == whole
    assert sum(piece.frames for piece in pieces) == len(whole)


def test_deinterlaced_slices_together_are_the_unbroken_video(tmp_path: Path) -> None:
    source = clips.make_interlaced(tmp_path / "fields.mp4", frames=40)
    facts = examine(source, deinterlace=True)
    (whole,) = make_slices(source, facts, 60, stop=Event()).slices
    pieces = make_slices(source, facts, 0.3, stop=Event()).slices
    together = [each for piece in pieces for each in slice_digests(source, facts, piece, deinterlace=True)]
    assert len(pieces) > 3
    assert together == slice_digests(source, facts, whole, deinterlace=True)


def test_slice_without_frames_is_empty(tmp_path: Path) -> None:
    source = clips.make_vfr(tmp_path / "gap.mkv", pts_ms=(0, 40, 80, 2000, 2040))
    facts = examine(source)
    pieces = make_slices(source, facts, 0.5, stop=Event()).slices
    assert [piece.frames for piece in pieces] == [3, 0, 0, 0, 2]
    assert slice_digests(source, facts, pieces[1]) == []


def test_seek_that_lands_late_is_repeated_earlier(tmp_path: Path) -> None:
    source = clips.make_open_gop(tmp_path / "open.ts", frames=80)
    facts = examine(source)
    pieces = make_slices(source, facts, 0.8, stop=Event()).slices
    late = [piece.model_copy(update={"seek": piece.seek and piece.seek + 36_000}) for piece in pieces]
    assert [each for piece in late for each in slice_digests(source, facts, piece)] == digests(all_frames(source))


def all_frames(path: Path) -> Iterable[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def digests(frames: Iterable[Any]) -> list[Digest]:
    return [
        (
            frame.pts,
            hashlib.sha256(
                b"".join(plane_view(frame, index).tobytes() for index in range(len(frame.planes)))
            ).hexdigest(),
        )
        for frame in frames
    ]


def slice_digests(path: Path, facts: SourceFacts, piece: PlannedSlice, *, deinterlace: bool = False) -> list[Digest]:
    return digests(decode_slice(path, facts, piece, deinterlace=deinterlace, stop=Event()))


def make_equal_times(path: Path) -> Path:
    """Frame 9's time twice: Matroska states the time of each block against its cluster in a signed 16-bit number."""
    clips.make_clip(path, frames=30, audio=False, codec_options={"bf": "0"})
    content = bytearray(path.read_bytes())
    # A block: track number 1, then its time. The tenth picture, at 400 ms, gets the ninth's time.
    at = content.index(b"\x81" + (400).to_bytes(2, "big"), content.index(b"\x81" + (360).to_bytes(2, "big")))
    content[at + 1 : at + 3] = (360).to_bytes(2, "big")
    path.write_bytes(content)
    return path


def test_two_frames_of_one_time_are_moved_apart_by_a_tick(tmp_path: Path) -> None:
    path = make_equal_times(tmp_path / "in.mkv")
    facts = examine(path)
    slices = make_slices(path, facts, 60.0, stop=Event())
    times = [frame.pts for frame in decode_slice(path, facts, slices.slices[0], stop=Event())]
    assert (slices.step, len(times)) == (1, 30)
    assert times[8:12] == [320, 360, 361, 440]
