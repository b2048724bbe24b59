"""Master playlists and codec strings, against values computed by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mediabroker.media.ladders.playlist import (
    Segment,
    Variant,
    avc_codec,
    build_master,
    hevc_codec,
    parse_segments,
    peak_bitrate,
)


def test_segments_are_read_in_order() -> None:
    text = "#EXTM3U\n#EXTINF:6.000000,\na.ts\n#EXTINF:2.5,title\nb.ts\n#EXT-X-ENDLIST\n"
    assert parse_segments(text) == [Segment("a.ts", 6.0), Segment("b.ts", 2.5)]


def test_the_peak_is_the_heaviest_segment_and_a_short_last_one_does_not_count() -> None:
    segments = [Segment("a", 6.0), Segment("b", 6.0), Segment("c", 0.04)]
    assert peak_bitrate([600_000, 750_000, 90_000], segments) == 1_000_000


def test_the_master_lists_each_variant_with_its_attributes() -> None:
    variant = Variant("x 1/a.m3u8", 426, 240, Fraction(30000, 1001), 500_000, 400_000, ("avc1.640015", "mp4a.40.2"))
    assert build_master([variant], fragmented=False) == (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=500000,AVERAGE-BANDWIDTH=400000,RESOLUTION=426x240,FRAME-RATE=29.970,"
        'CODECS="avc1.640015,mp4a.40.2"\nx%201/a.m3u8\n'
    )
    hdr = build_master([variant._replace(hdr="pq", frame_rate=Fraction(0))], fragmented=True)
    assert "VIDEO-RANGE=PQ" in hdr
    assert "FRAME-RATE" not in hdr
    assert "VERSION:7" in hdr


def test_avc_codec_reads_both_forms_of_parameter_sets() -> None:
    assert avc_codec(bytes([1, 0x64, 0x00, 0x1F, 0xFF])) == "avc1.64001f"
    assert avc_codec(b"\0\0\0\1\x09\xf0\0\0\0\1\x67\x4d\x40\x1e\xab\0\0\1\x68\xee") == "avc1.4d401e"
    with pytest.raises(ValueError, match="parameter set"):
        avc_codec(b"\0\0\0\1\x68\xee")


def test_hevc_codec_spells_profile_compatibility_tier_level_and_constraints() -> None:
    main10 = bytes([1, 0x02, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xF0])
    assert hevc_codec(main10) == "hvc1.2.4.L93.90"
    high_tier = bytes([1, 0x21, 0x60, 0, 0, 0, 0xB0, 0, 0, 0, 0, 0, 153, 0xF0])
    assert hevc_codec(high_tier) == "hvc1.1.6.H153.b0"
    with pytest.raises(ValueError, match="hvcC"):
        hevc_codec(b"")
