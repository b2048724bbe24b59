"""Videos of every awkward kind, upscaled from end to end: frames, times, tags and what stands beside the picture."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mediabroker.results import VideoResult
from neuron_worker.video.source import examine
from tests import clips
from tests.worker.looking import frame_times, frames, lumas, packets, psnr

Upscale = Callable[..., VideoResult]


def make_hidden_start(path: Path) -> Path:
    """An edit list hides the first frames, which others are decoded from."""
    return clips.make_clip(path, pts=range(-3, 12), time_base=Fraction(1, 25))


def make_422(path: Path) -> Path:
    return clips.make_clip(path, pix_fmt="yuv422p")


def make_gray(path: Path) -> Path:
    return clips.make_clip(path, pix_fmt="gray")


def make_webm(path: Path) -> Path:
    return clips.make_clip(path, codec="libvpx", audio=False)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (clips.make_clip, "plain.mp4"),
        (clips.make_clip, "plain.mov"),
        (clips.make_clip, "plain.mkv"),
        (clips.make_vfr, "vfr.mkv"),
        (clips.make_vfr, "vfr.mp4"),
        (clips.make_one_frame, "one.mp4"),
        (clips.make_odd, "odd.mkv"),
        (clips.make_full_range, "full.mp4"),
        (clips.make_open_gop, "open.mkv"),
        (clips.make_rotated, "rotated.mp4"),
        (clips.make_mkv_without_duration, "live.mkv"),
        (clips.make_ten_bit, "deep.mp4"),
        (make_hidden_start, "hidden.mp4"),
        (make_422, "422.mp4"),
        (make_gray, "gray.mp4"),
        (make_webm, "vp8.mkv"),
    ],
)
def test_result_has_every_frame_of_the_source_at_its_time(
    make: Callable[[Path], Path], name: str, tmp_path: Path, upscale: Upscale
) -> None:
    source = make(tmp_path / name)
    result = upscale(source, tmp_path / f"out{Path(name).suffix}", slice_s=0.15)
    output = result.outputs[0].uri.path
    assert frame_times(output) == frame_times(source)
    first = next(frames(source))
    assert (result.width_px, result.height_px) == (2 * first.width, 2 * first.height)
    assert {(each.width, each.height) for each in frames(output)} == {(2 * first.width, 2 * first.height)}
    assert result.frame_count == len(frame_times(source))


@pytest.mark.parametrize(("name", "output"), [("in.avi", "out.mp4"), ("in.flv", "out.mp4"), ("in.mpg", "out.mkv")])
def test_containers_without_exact_times_or_index_give_every_frame(
    name: str, output: str, tmp_path: Path, upscale: Upscale
) -> None:
    sound = {"in.avi": "mp3", "in.flv": "aac", "in.mpg": "mp2"}[name]
    codec = "mpeg2video" if name == "in.mpg" else "libx264"
    source = clips.make_clip(tmp_path / name, codec=codec, audio_codec=sound, frames=30)
    result = upscale(source, tmp_path / output, slice_s=0.4)
    assert result.frame_count == 30
    times = frame_times(result.outputs[0].uri.path)
    assert [round(float(when - times[0]), 2) for when in times] == [round(index / 25, 2) for index in range(30)]


@pytest.mark.parametrize("rate", [100_000, 1_000_000_000])
def test_frames_far_closer_than_a_millisecond_are_all_kept(rate: int, tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.avi", codec="mpeg4", frames=30, audio=False)
    content = bytearray(source.read_bytes())
    struct.pack_into("<II", content, content.index(b"strh") + 28, 1, rate)  # scale and rate of the stream's header
    source.write_bytes(content)
    upscale(source, tmp_path / "out.mp4")
    assert frame_times(tmp_path / "out.mp4") == [Fraction(index, rate) for index in range(30)]


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts"])
def test_frame_rate_is_stated_as_before(name: str, tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / name, frames=30, audio=False)
    suffix = ".mp4" if name.endswith(".ts") else Path(name).suffix
    result = upscale(source, tmp_path / f"out{suffix}")
    assert result.frame_rate == "25/1"
    with av.open(str(result.outputs[0].uri.path)) as container:
        assert container.streams.video[0].average_rate == 25


def test_audio_is_copied_packet_for_packet_at_its_time(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    output = upscale(source).outputs[0].uri.path
    assert packets(output, "audio") == packets(source, "audio")


def test_picture_is_the_same_picture_only_larger(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", codec_options={"crf": "10"})
    output = upscale(source, encoder={"crf": 5}).outputs[0].uri.path
    for small, large in zip(frames(source), frames(output), strict=True):
        wanted = small.reformat(128, 96, "rgb24", interpolation="BICUBIC").to_ndarray()
        assert psnr(wanted, large.reformat(format="rgb24").to_ndarray()) > 24


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_full_range_stays_full_range_without_a_shift_of_brightness(name: str, tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_full_range(tmp_path / name)
    output = upscale(source, tmp_path / f"out-{name}", encoder={"crf": 5}).outputs[0].uri.path
    small, large = next(frames(source)), next(frames(output))
    assert int(large.color_range) == 2
    assert (int(large.colorspace), int(large.color_primaries), int(large.color_trc)) == (1, 1, 1)
    assert abs(float(lumas(source)[0].mean()) - float(lumas(output)[0].mean())) < 1
    assert abs(_chroma_mean(small) - _chroma_mean(large)) < 1


def _chroma_mean(frame: Any) -> float:
    plane = frame.planes[1]
    return float(np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width].mean())


@pytest.mark.parametrize("rotation", [-90, 180, 90])
def test_rotation_is_kept_as_a_tag(rotation: int, tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_rotated(tmp_path / "in.mp4", rotation_ccw_deg=rotation)
    output = upscale(source).outputs[0].uri.path
    small, large = next(frames(source)), next(frames(output))
    assert large.rotation == small.rotation
    assert (large.width, large.height) == (128, 96)


def test_pixel_aspect_is_kept(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", sample_aspect_ratio=Fraction(4, 3))
    output = upscale(source).outputs[0].uri.path
    with av.open(str(output)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_ten_bit_video_stays_ten_bit(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_ten_bit(tmp_path / "in.mp4")
    output = upscale(source, encoder={"crf": 5}).outputs[0].uri.path
    large = next(frames(output))
    assert large.format.name == "yuv420p10le"
    with av.open(str(output)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.codec_tag) == ("hevc", "hvc1")
    small = np.kron(lumas(source)[0], np.ones((2, 2)))
    assert psnr(small, lumas(output)[0], 1023) > 20
    assert len(np.unique(lumas(output)[0] % 4)) == 4, "the two low bits are in use"


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv420p"])
def test_hdr10_keeps_tags_mastering_display_and_light_level(pix_fmt: str, tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_hdr10(tmp_path / "in.mkv", pix_fmt=pix_fmt)
    output = upscale(source, tmp_path / "out.mkv").outputs[0].uri.path
    small, large = next(frames(source)), next(frames(output))
    for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
        assert int(getattr(large, name)) == int(getattr(small, name)), name
    for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert _light_of(large, kind) == _light_of(small, kind), kind


def _light_of(frame: av.VideoFrame, kind: str) -> list[Fraction | int]:
    found: Any = frame.side_data.get(kind)
    assert found is not None, kind
    numbers = np.frombuffer(bytes(found), np.int32)
    if kind == "CONTENT_LIGHT_LEVEL":
        return [int(each) for each in numbers[:2]]
    return [Fraction(int(numbers[at]), int(numbers[at + 1])) for at in range(0, 20, 2)]


@pytest.mark.parametrize(("siting", "codec"), [("topleft", "h265"), ("center", "h264")])
def test_where_chroma_sits_is_stated_as_before(siting: str, codec: str, tmp_path: Path, upscale: Upscale) -> None:
    options = {"chroma_sample_location": siting}
    source = clips.make_clip(tmp_path / "in.mp4", frames=2, codec_options=options, audio=False)
    upscale(source, tmp_path / "out.mp4", encoder={"codec": codec})
    assert examine(tmp_path / "out.mp4").siting == siting


@pytest.mark.parametrize("count", [1, 2, 3])
def test_h265_of_fewer_frames_than_it_reorders_is_whole(count: int, tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=count, audio=False)
    for _ in range(3):  # the decoding times that x265 gives then are arbitrary
        output = upscale(source, tmp_path / "out.mp4", encoder={"codec": "h265"}, overwrite=True).outputs[0].uri.path
        assert frame_times(output) == frame_times(source)
        output.unlink()


def test_subtitles_languages_and_titles_are_kept_in_matroska(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_with_subtitles(tmp_path / "in.mkv")
    output = upscale(source, tmp_path / "out.mkv").outputs[0].uri.path
    assert packets(output, "subtitle") == packets(source, "subtitle")


def test_chapters_tags_attachments_and_dispositions_are_kept(tmp_path: Path, upscale: Upscale) -> None:
    source = _rich(clips.make_clip(tmp_path / "plain.mkv"), tmp_path / "rich.mkv")
    output = upscale(source, tmp_path / "out.mkv").outputs[0].uri.path
    with av.open(str(source)) as before, av.open(str(output)) as after:
        chapters = [
            [(each["start"] * (each["time_base"] or 1), each["metadata"]) for each in one.chapters()]
            for one in (before, after)
        ]
        assert chapters[0] == chapters[1]
        assert len(chapters[0]) == 2
        assert after.metadata["title"] == "A title"
        assert after.streams.audio[0].language == "nob"
        assert after.streams.audio[0].disposition == before.streams.audio[0].disposition
        assert [each.name for each in after.streams.attachments] == ["font.ttf"]


def _rich(plain: Path, target: Path) -> Path:
    with av.open(str(plain)) as source, av.open(str(target), "w") as result:
        result.metadata["title"] = "A title"
        copies: dict[int, Any] = {}
        for stream in source.streams:
            copies[stream.index] = result.add_stream_from_template(stream, opaque=True)
            if stream.type == "audio":
                copies[stream.index].metadata["language"] = "nob"
                copies[stream.index].disposition = av.stream.Disposition.original
        result.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font")
        unit = Fraction(1, 1000)
        spans = (("One", 0, 200), ("Two", 200, 480))
        result.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": unit, "metadata": {"title": title}}
                for number, (title, start, end) in enumerate(spans, 1)
            ]
        )
        for packet in source.demux():
            if packet.pts is not None:
                packet.stream = copies[packet.stream_index]
                result.mux(packet)
    return target


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_a_picture_that_starts_later_than_the_sound_stays_later(name: str, tmp_path: Path, upscale: Upscale) -> None:
    times = range(5500, 5900, 40)
    source = clips.make_clip(tmp_path / name, pts=list(times), time_base=Fraction(1, 1000), audio=True)
    output = upscale(source, tmp_path / f"out-{name}", slice_s=0.2).outputs[0].uri.path
    assert frame_times(output) == frame_times(source)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_stream_without_a_container_is_upscaled_at_its_rate(codec: str, tmp_path: Path, upscale: Upscale) -> None:
    encoder = {"h264": "libx264", "hevc": "libx265"}[codec]
    options = {"x265-params": "log-level=error"} if codec == "hevc" else {"bf": "2"}
    source = clips.make_clip(
        tmp_path / f"in.{codec}", codec=encoder, codec_options=options, container_format=codec, audio=False
    )
    output = upscale(source).outputs[0].uri.path
    assert frame_times(output) == [Fraction(place, 25) for place in range(12)]


def test_the_end_is_that_of_the_last_frame_shown_not_of_the_longest_one(tmp_path: Path, upscale: Upscale) -> None:
    times = [*range(0, 400, 40), *range(5000, 5400, 40)]
    source = clips.make_clip(tmp_path / "in.mp4", pts=times, time_base=Fraction(1, 1000), codec_options={"bf": "3"})
    result = upscale(source, tmp_path / "out.mkv")
    assert result.duration_s == pytest.approx(5.4, abs=0.05)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.duration == pytest.approx(5.4e6, abs=100_000)


@pytest.mark.parametrize("start_s", [5, 36_000])
@pytest.mark.parametrize("name", ["in.mp4", "in.mkv"])
def test_a_file_that_starts_late_as_a_whole_starts_at_zero_as_in_a_transcode(
    name: str, start_s: int, tmp_path: Path, upscale: Upscale
) -> None:
    times = [start_s * 1000 + place * 40 for place in range(10)]
    source = clips.make_clip(tmp_path / name, pts=times, time_base=Fraction(1, 1000), audio=False)
    result = upscale(source, tmp_path / f"out-{name}", slice_s=0.2)
    assert frame_times(result.outputs[0].uri.path) == [Fraction(place, 25) for place in range(10)]
    assert result.duration_s == pytest.approx(0.4)


def test_transport_stream_starts_at_zero_with_picture_and_sound_as_far_apart_as_before(
    tmp_path: Path, upscale: Upscale
) -> None:
    source = clips.make_open_gop(tmp_path / "in.ts")
    output = upscale(source, slice_s=0.5).outputs[0].uri.path
    before, after = frame_times(source), frame_times(output)
    assert [when - before[0] for when in before] == [when - after[0] for when in after]
    sound = packets(source, "audio")[0][0], packets(output, "audio")[0][0]
    assert abs((before[0] - sound[0]) - (after[0] - sound[1])) < Fraction(1, 1000)
    assert min(after[0], sound[1]) == 0


def test_cover_picture_is_kept_and_not_taken_for_the_video(tmp_path: Path, upscale: Upscale) -> None:
    source = _with_cover(clips.make_clip(tmp_path / "plain.mp4"), tmp_path / "covered.mp4")
    output = upscale(source).outputs[0].uri.path
    with av.open(str(output)) as container:
        covers = [each for each in container.streams.video if each.disposition & av.stream.Disposition.attached_pic]
        assert len(covers) == 1
        assert container.streams.video[0].width == 128


def _with_cover(plain: Path, target: Path) -> Path:
    with av.open(str(plain)) as source, av.open(str(target), "w") as result:
        cover: Any = result.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        copies = {stream.index: result.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        art = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 200, np.uint8)).reformat(format="yuvj420p")
        art.pts, art.time_base = 0, Fraction(1)
        result.mux(cover.encode(art) + cover.encode(None))
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                result.mux(packet)
    return target


def test_cover_picture_becomes_an_attachment_of_matroska(tmp_path: Path, upscale: Upscale) -> None:
    source = _with_cover(clips.make_clip(tmp_path / "plain.mp4"), tmp_path / "covered.mp4")
    upscale(source, tmp_path / "out.mkv")
    upscale(tmp_path / "out.mkv", tmp_path / "again.mkv", work_dir=tmp_path / "again")
    with av.open(str(source)) as first:
        wanted = [bytes(packet) for packet in first.demux(first.streams.video[1]) if packet.size]
    for name in ("out.mkv", "again.mkv"):
        with av.open(str(tmp_path / name)) as container:
            cover: Any = container.streams.video[1]
            assert cover.disposition & av.stream.Disposition.attached_pic
            assert cover.metadata["mimetype"] == "image/jpeg"
            assert [bytes(packet) for packet in container.demux(cover) if packet.size] == wanted


def test_sound_of_two_equal_times_is_kept_a_tick_apart(tmp_path: Path, upscale: Upscale) -> None:
    # What FFmpeg itself writes so, and lets its reader find two packets at one time.
    options = {"movflags": "frag_every_frame"}
    source = clips.make_clip(tmp_path / "in.mp4", codec_options={"bf": "0"}, container_options=options)
    before = packets(source, "audio")
    assert len({when for when, _ in before}) < len(before)
    upscale(source, tmp_path / "out.mp4")
    after = packets(tmp_path / "out.mp4", "audio")
    assert [content for _, content in after] == [content for _, content in before]
    assert max(abs(when - was) for (when, _), (was, _) in zip(after, before, strict=True)) <= Fraction(2, 1000)


def test_sound_that_an_edit_list_hides_stays_unheard_in_matroska(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=25)
    with av.open(str(source)) as container:
        stored = [packet for packet in container.demux(audio=0) if packet.size]
    heard = [bytes(packet) for packet in stored if not packet.is_discard]
    assert len(heard) < len(stored)
    upscale(source, tmp_path / "out.mkv")
    assert [content for _, content in packets(tmp_path / "out.mkv", "audio")] == heard


def test_interlaced_video_becomes_progressive_when_asked(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_interlaced(tmp_path / "in.mp4", frames=30)
    whole = upscale(source, tmp_path / "whole.mp4", deinterlace=True).outputs[0].uri.path
    assert frame_times(whole) == frame_times(source)
    assert not any(each.interlaced_frame for each in frames(whole))


def test_repeated_frames_are_kept_as_frames(tmp_path: Path, upscale: Upscale) -> None:
    source = _still(tmp_path / "still.mp4")
    output = upscale(source).outputs[0].uri.path
    assert frame_times(output) == frame_times(source)


def _still(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height = 64, 48
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(clips.picture(index // 5, 64, 48)).reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("name", "result"), [("in.mp4", "out.mp4"), ("in.mp4", "out.mkv"), ("in.mkv", "out.mkv")])
def test_last_frame_is_shown_for_as_long_as_before(name: str, result: str, tmp_path: Path, upscale: Upscale) -> None:
    done = upscale(_with_long_end(tmp_path / name), tmp_path / result)
    assert done.duration_s == 10
    with av.open(str(tmp_path / result)) as container:
        assert container.duration == pytest.approx(10_000_000, abs=1000)


def _with_long_end(path: Path) -> Path:
    """Frames at 0, 1 and 2 s, the last of which is shown for 8 s."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=1, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        frames = [av.VideoFrame.from_ndarray(clips.picture(index, 64, 48), format="rgb24") for index in range(3)]
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, Fraction(1)
        *earlier, last = [packet for frame in [*frames, None] for packet in video.encode(frame)]
        container.mux(earlier)
        last.duration = int(8 / last.time_base)
        container.mux(last)
    return path


@pytest.mark.parametrize(("height", "codec"), [(48, "h264"), (48, "h265"), (47, "h264")])
def test_closed_captions_are_kept(height: int, codec: str, tmp_path: Path, upscale: Upscale) -> None:
    source = _with_captions(tmp_path / "in.ts", height=height)
    upscale(source, tmp_path / "out.mp4", encoder={"codec": codec})
    kind: Any = av.sidedata.sidedata.Type.A53_CC
    before, after = (
        [bytes(each.side_data.get(kind)) for each in frames(path)] for path in (source, tmp_path / "out.mp4")
    )
    assert after == before


def _with_captions(path: Path, *, height: int) -> Path:
    """A caption in every picture, put before its first slice. Source: ATSC A/53 part 4, 6.2.3; H.264, 7.3.1."""
    said = bytes([0xFC, 0x94, 0x2C, 0xFC, 0xC8, 0xE5, 0xFC, 0xEC, 0xEC])
    message = b"\xb5\x00\x31GA94\x03" + bytes([0x40 | len(said) // 3, 0xFF]) + said + b"\xff"
    unit = b"\x00\x00\x00\x01\x06" + bytes([4, len(message)]) + message + b"\x80"
    with av.open(str(path), "w") as container:
        options = {"x264-params": "bframes=0:keyint=10"}
        video: Any = container.add_stream("libx264", rate=25, options=options)
        video.width, video.height, video.pix_fmt = 64, height, "yuv444p"
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(clips.picture(index, 64, height), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            for packet in video.encode(frame):
                container.mux(_before_first_slice(packet, unit))
        for packet in video.encode(None):
            container.mux(_before_first_slice(packet, unit))
    return path


def _before_first_slice(packet: Any, unit: bytes) -> av.Packet:
    content, place = bytes(packet), 0
    while content[place + 3] & 31 not in {1, 5}:  # the types of slices
        place = content.index(b"\x00\x00\x01", place + 1)
    longer: Any = av.Packet(content[:place] + unit + content[place:])
    longer.pts, longer.dts, longer.time_base = packet.pts, packet.dts, packet.time_base
    longer.is_keyframe, longer.stream = packet.is_keyframe, packet.stream
    return longer
