"""What a probe tells of real files, whole and broken."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.limits import MediaLimits
from mediabroker.media.probe import is_variable, open_input, probe
from mediabroker.media.sniff import sniff
from mediabroker.media.source import open_as
from mediabroker.results import VideoStream
from tests import clips


def _video(path: Path) -> VideoStream:
    (video,) = probe(path).video
    return video


def _code(path: Path, **options: object) -> ErrorCode:
    with pytest.raises(MediaError) as caught:
        probe(path, **options)  # type: ignore[arg-type]  # options of several types
    return caught.value.error.code


def test_probe_of_an_ordinary_clip_tells_streams_rate_and_length(tmp_path: Path) -> None:
    media = probe(clips.make_clip(tmp_path / "a.mp4", rate=Fraction(30000, 1001), frames=15))
    (video,) = media.video
    assert (media.container, video.codec, video.width_px, video.height_px) == ("mp4", "h264", 64, 48)
    assert (video.frame_rate, video.frame_count, video.variable_frame_rate) == ("30000/1001", 15, False)
    assert media.duration_s == pytest.approx(15 * 1001 / 30000, abs=0.03)
    assert [(each.codec, each.sample_rate_hz, each.channels) for each in media.audio] == [("aac", 48000, 1)]
    assert media.size_bytes == (tmp_path / "a.mp4").stat().st_size


def test_probe_believes_the_content_and_not_the_name(tmp_path: Path) -> None:
    clips.make_clip(tmp_path / "a.mkv")
    renamed = (tmp_path / "a.mkv").rename(tmp_path / "a.mp4")
    assert probe(renamed).container == "matroska"


@pytest.mark.parametrize(
    "name", ["-i.mp4", "x:y.mp4", "a%03d.mp4", "concat:a|b.mp4", "subfile,,start,0,:x.mp4", "ü 'q.mp4"]
)
def test_probe_takes_any_file_name_literally(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clips.make_clip(tmp_path / "plain.mp4", frames=2, audio=False).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).container == "mp4"


@pytest.mark.parametrize(("matrix_ccw_deg", "clockwise_deg"), [(0, 0), (-90, 90), (180, 180), (90, 270)])
def test_rotation_is_told_clockwise_and_size_as_stored(tmp_path: Path, matrix_ccw_deg: int, clockwise_deg: int) -> None:
    video = _video(clips.make_rotated(tmp_path / "a.mp4", rotation_ccw_deg=matrix_ccw_deg))
    assert (video.rotation_deg, video.width_px, video.height_px) == (clockwise_deg, 64, 48)


def test_variable_rate_is_noticed_and_even_rate_is_not(tmp_path: Path) -> None:
    assert _video(clips.make_vfr(tmp_path / "v.mp4")).variable_frame_rate
    assert _video(clips.make_vfr(tmp_path / "v.mkv")).variable_frame_rate
    even = clips.make_clip(tmp_path / "even.mkv", rate=Fraction(30000, 1001), frames=40)
    assert not _video(even).variable_frame_rate


def test_is_variable_forgives_the_rounding_of_ticks_and_the_frames_still_to_come() -> None:
    assert not is_variable([0, 33, 67, 100, 133], 0.001, complete=True)
    assert is_variable([0, 33, 100, 133], 0.001, complete=True)
    cut_in_coding_order = [*range(0, 4000, 40), 4120]
    assert not is_variable(cut_in_coding_order, 0.001, complete=False)
    assert not is_variable([], 0.001, complete=True)


def test_odd_size_depth_range_and_interlacing_are_told(tmp_path: Path) -> None:
    odd = _video(clips.make_odd(tmp_path / "odd.mp4"))
    assert (odd.width_px, odd.height_px) == (33, 17)
    assert _video(clips.make_ten_bit(tmp_path / "ten.mp4")).bit_depth == 10
    assert _video(clips.make_full_range(tmp_path / "full.mp4")).color_range == "pc"
    assert _video(clips.make_interlaced(tmp_path / "inter.mp4")).interlaced
    assert not odd.interlaced


def test_hdr_is_known_by_its_transfer_function(tmp_path: Path) -> None:
    video = _video(clips.make_hdr10(tmp_path / "hdr.mp4"))
    assert (video.hdr, video.color_transfer, video.color_primaries) == ("pq", "smpte2084", "bt2020")
    assert (video.color_matrix, video.color_range, video.bit_depth) == ("bt2020nc", "tv", 10)


def test_pixel_aspect_is_told_as_a_fraction(tmp_path: Path) -> None:
    assert _video(clips.make_clip(tmp_path / "a.mp4", sample_aspect_ratio=Fraction(4, 3))).sample_aspect_ratio == "4/3"


def test_unknown_duration_stays_unknown_and_frames_are_counted_where_the_look_saw_the_end(tmp_path: Path) -> None:
    media = probe(clips.make_mkv_without_duration(tmp_path / "live.mkv"))
    assert media.duration_s is None
    assert media.video[0].frame_count == 12


def test_audio_only_and_cover_art_are_no_video(tmp_path: Path) -> None:
    assert probe(clips.make_audio_only(tmp_path / "tone.mp4")).video == ()
    covered = probe(clips.make_cover_art(tmp_path / "cover.mp4"))
    assert covered.video == ()
    assert len(covered.audio) == 1


def test_subtitles_are_listed(tmp_path: Path) -> None:
    assert [each.codec for each in probe(clips.make_with_subtitles(tmp_path / "s.mkv")).subtitles] == ["subrip"]


def test_a_single_frame_is_a_video_and_none_is_corrupt(tmp_path: Path) -> None:
    assert _video(clips.make_one_frame(tmp_path / "one.mp4")).frame_count == 1
    assert _code(clips.make_zero_frames(tmp_path / "zero.mp4")) is ErrorCode.MEDIA_CORRUPT


def test_a_file_cut_before_its_index_is_corrupt(tmp_path: Path) -> None:
    assert _code(clips.make_truncated(tmp_path / "cut.mp4", faststart=False)) is ErrorCode.MEDIA_CORRUPT


def test_X4_playlist_named_mp4_is_refused_and_its_target_never_opened(tmp_path: Path) -> None:
    target = clips.make_clip(tmp_path / "secret.mp4")
    os.utime(target, ns=(1, 1))
    lure = clips.make_hls_as_mp4(tmp_path / "lure.mp4", target)
    assert _code(lure) is ErrorCode.MEDIA_UNSUPPORTED
    with pytest.raises(MediaError):
        open_input(lure)
    assert target.stat().st_atime_ns == 1


def test_X4_a_playlist_that_was_taken_for_a_video_is_not_followed(tmp_path: Path) -> None:
    target = clips.make_clip(tmp_path / "secret.ts", audio=False)
    lure = clips.make_hls_as_mp4(tmp_path / "lure.m3u8", target)
    with av.open(str(lure)) as careless:
        assert careless.streams.video, "without the demuxer of the sniffed container FFmpeg follows it"
    with pytest.raises(MediaError):
        open_as(lure, sniff(clips.make_clip(tmp_path / "video.mp4")))


def test_X12_more_pixels_streams_or_seconds_than_allowed_are_refused(tmp_path: Path) -> None:
    path = clips.make_clip(tmp_path / "a.mp4")
    for limits in (MediaLimits(max_pixels=64 * 48 - 1), MediaLimits(max_streams=1), MediaLimits(max_duration_s=0.1)):
        assert _code(path, limits=limits) is ErrorCode.MEDIA_UNSUPPORTED
    assert probe(path, limits=MediaLimits(max_pixels=64 * 48, max_streams=2)).video


def test_X12_pictures_that_grow_past_the_limit_midway_are_not_decoded(tmp_path: Path) -> None:
    small = clips.make_clip(tmp_path / "small.ts", audio=False).read_bytes()
    large = clips.make_clip(tmp_path / "large.ts", audio=False, width=640, height=480, frames=2).read_bytes()
    (tmp_path / "growing.ts").write_bytes(small * 3 + large)
    widths = []
    limits = MediaLimits(max_pixels=64 * 48)
    with open_input(tmp_path / "growing.ts", limits=limits) as container, pytest.raises(av.error.InvalidDataError):
        widths.extend(frame.width for frame in container.decode(video=0))
    assert set(widths) <= {64}


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_B8_files_cut_anywhere_are_described_or_refused_with_a_code(tmp_path: Path, cut: float, suffix: str) -> None:
    path = clips.make_truncated(tmp_path / f"cut{suffix}", keep=cut, faststart=suffix == ".mp4")
    try:
        assert probe(path).size_bytes > 0
    except MediaError as error:
        assert error.error.code in (ErrorCode.MEDIA_CORRUPT, ErrorCode.MEDIA_UNSUPPORTED)


def test_B8_flipped_bytes_are_described_or_refused_with_a_code(tmp_path: Path) -> None:
    whole = clips.make_clip(tmp_path / "a.mp4").read_bytes()
    for seed in range(40):
        damaged = bytearray(whole)
        for step in range(1 + seed % 7):
            damaged[(seed * 7919 + step * 104_729) % len(damaged)] ^= 0xFF
        path = tmp_path / f"{seed}.mp4"
        path.write_bytes(damaged)
        try:
            probe(path)
        except MediaError as error:
            assert error.error.code is not ErrorCode.UNKNOWN
