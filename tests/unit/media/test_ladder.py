"""Which renditions a source gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.jobs import Rendition
from mediabroker.media.ladders.ladder import bits_for, choose_rungs, display_size
from mediabroker.results import MediaDetails, VideoStream


def _video(width: int = 1920, height: int = 1080, **more: object) -> VideoStream:
    fields = {"index": 0, "codec": "h264", "pixel_format": "yuv420p", "bit_depth": 8, "frame_rate": "25/1", **more}
    return VideoStream.model_validate({"width_px": width, "height_px": height, **fields})


def _media(video: VideoStream, bitrate_bps: int | None = None) -> MediaDetails:
    return MediaDetails(container="mp4", size_bytes=1, bitrate_bps=bitrate_bps, video=(video,))


def _rendition(height: int, bits: int) -> Rendition:
    return Rendition(height_px=height, video_bitrate_bps=bits)


def test_display_size_turns_and_stretches_the_stored_picture() -> None:
    assert display_size(_video(720, 576, sample_aspect_ratio="64/45")) == (1024, 576)
    assert display_size(_video(1920, 1080, rotation_deg=90)) == (1080, 1920)
    assert display_size(_video(720, 576, sample_aspect_ratio="64/45", rotation_deg=270)) == (576, 1024)


def test_the_usual_ladder_ends_at_the_source_and_skips_what_is_too_close_to_it() -> None:
    assert [rung.height_px for rung in choose_rungs(_media(_video()), _video())] == [240, 360, 480, 720, 1080]
    near = _video(870, 490)
    assert [rung.height_px for rung in choose_rungs(_media(near), near)] == [240, 360, 490]
    tiny = _video(64, 48)
    assert [rung.height_px for rung in choose_rungs(_media(tiny), tiny)] == [48]


def test_a_still_sources_average_starves_no_rung() -> None:
    poor = _video(bitrate_bps=9_000)
    rungs = choose_rungs(_media(poor), poor)
    assert rungs[-1].video_bitrate_bps == bits_for(1920 * 1080)
    assert [rung.video_bitrate_bps for rung in rungs] == sorted(rung.video_bitrate_bps for rung in rungs)


def test_asked_renditions_above_the_source_are_left_out() -> None:
    video = _video(1280, 720, bitrate_bps=3_000_000)
    wanted = [
        _rendition(1080, 2_000_000),
        _rendition(720, 5_000_000),
        _rendition(720, 2_000_000),
        _rendition(360, 800_000),
    ]
    chosen = choose_rungs(_media(video), video, wanted)
    assert [(rung.height_px, rung.video_bitrate_bps) for rung in chosen] == [(360, 800_000), (720, 2_000_000)]


def test_when_all_are_above_the_source_the_smallest_is_held_to_it() -> None:
    video = _video(640, 360, bitrate_bps=1_500_000)
    (rung,) = choose_rungs(_media(video), video, [_rendition(1080, 4_000_000), _rendition(720, 2_000_000)])
    assert (rung.width_px, rung.height_px, rung.video_bitrate_bps) == (640, 360, 1_500_000)


def test_the_whole_files_bitrate_serves_where_the_stream_declares_none() -> None:
    video = _video(1280, 720)
    (rung,) = choose_rungs(_media(video, bitrate_bps=3_000_000), video, [_rendition(720, 4_000_000)])
    assert rung.video_bitrate_bps == 3_000_000


def test_two_renditions_of_one_height_have_different_names() -> None:
    rungs = choose_rungs(_media(_video()), _video(), [_rendition(720, 2_000_000), _rendition(720, 2_000_500)])
    assert len({rung.name for rung in rungs}) == 2


@pytest.mark.parametrize(("pixels", "bits"), [(1920 * 1080, 5_000_000), (1280 * 720, 2_721_655)])
def test_bits_follow_the_pixels(pixels: int, bits: int) -> None:
    assert bits_for(pixels) == bits


@given(
    width=st.integers(1, 8192),
    height=st.integers(1, 4320),
    rotation=st.sampled_from([0, 90, 180, 270]),
    bits=st.one_of(st.none(), st.integers(1000, 10**8)),
)
def test_every_ladder_has_even_sides_and_stays_within_its_source(
    width: int, height: int, rotation: int, bits: int | None
) -> None:
    video = _video(width, height, rotation_deg=rotation, bitrate_bps=bits)
    rungs = choose_rungs(_media(video), video)
    assert rungs
    for rung in rungs:
        assert rung.width_px % 2 == rung.height_px % 2 == 0
        assert rung.width_px >= 2
        assert rung.height_px <= max(2, display_size(video)[1])
