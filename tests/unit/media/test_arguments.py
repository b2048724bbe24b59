"""ffmpeg's arguments as pure values."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import Rendition, Transcode, VideoEncoder
from mediabroker.media.arguments import TranscodeSettings, build_hls, build_mp4, choose_codec
from mediabroker.media.ladders.ladder import Rung
from mediabroker.media.probe import Source
from mediabroker.results import AudioStream, MediaDetails, SubtitleStream, VideoStream

_RUNGS = (Rung("0_240p", 426, 240, 400_000, 96_000), Rung("1_480p", 854, 480, 1_200_000, 128_000))


def _source(
    *,
    audio: tuple[tuple[str, int, int], ...] = (("aac", 2, 128_000),),
    subtitles: tuple[str, ...] = (),
    **video: object,
) -> Source:
    fields = {"index": 0, "codec": "h264", "width_px": 854, "height_px": 480, "pixel_format": "yuv420p"}
    stream = VideoStream.model_validate({**fields, "bit_depth": 8, "frame_rate": "25/1", **video})
    sounds = tuple(
        AudioStream(index=number, codec=codec, sample_rate_hz=48000, channels=channels, bitrate_bps=bits)
        for number, (codec, channels, bits) in enumerate(audio, start=1)
    )
    texts = tuple(SubtitleStream(index=10 + number, codec=codec) for number, codec in enumerate(subtitles))
    media = MediaDetails(container="mp4", size_bytes=1, video=(stream,), audio=sounds, subtitles=texts)
    return Source(Path("/in/-i x.mp4"), "mov", media, Fraction(1, 12800))


def _after(arguments: list[str], option: str) -> list[str]:
    return [arguments[at + 1] for at, each in enumerate(arguments) if each == option]


def _filters(arguments: list[str]) -> str:
    return _after(arguments, "-filter_complex")[0]


def test_the_input_is_one_literal_file_read_by_one_demuxer() -> None:
    arguments = build_mp4(_source(), TranscodeSettings(), rung=None)
    head = arguments[: arguments.index("-i") + 2]
    assert head[-1] == "file:/in/-i x.mp4"
    assert _after(head, "-f") == ["mov"]
    assert _after(head, "-format_whitelist") == ["mov"]
    assert _after(head, "-protocol_whitelist") == ["file,pipe"]
    assert _after(head, "-max_pixels")
    assert _after(head, "-max_streams")


def test_frames_keep_their_times_in_the_sources_own_ticks() -> None:
    arguments = build_mp4(_source(), TranscodeSettings(), rung=None)
    assert _after(arguments, "-fps_mode:v") == ["passthrough"]
    assert _after(arguments, "-enc_time_base:v") == ["1/12800"]


def test_a_quality_is_the_default_and_a_bitrate_is_bounded() -> None:
    assert _after(build_mp4(_source(), TranscodeSettings(), rung=None), "-crf") == ["21.0"]
    asked = TranscodeSettings(encoder=VideoEncoder(video_bitrate_bps=1_000_000, preset="fast"))
    arguments = build_mp4(_source(), asked, rung=None)
    assert _after(arguments, "-b:v") == ["1000000"]
    assert _after(arguments, "-maxrate:v") == ["1250000"]
    assert _after(arguments, "-preset") == ["fast"]
    capped = build_mp4(_source(), TranscodeSettings(encoder=VideoEncoder(crf=30)), rung=_RUNGS[0])
    assert (_after(capped, "-crf"), _after(capped, "-maxrate:v"), _after(capped, "-b:v")) == (["30.0"], ["500000"], [])


def test_colour_tags_are_written_down_and_the_range_is_kept_while_scaling() -> None:
    tags = {"color_range": "pc", "color_matrix": "bt709", "color_primaries": "bt709", "color_transfer": "bt709"}
    arguments = build_mp4(_source(**tags), TranscodeSettings(), rung=None)
    for option, word in (("-color_range", "pc"), ("-colorspace", "bt709"), ("-color_trc", "bt709")):
        assert _after(arguments, option) == [word]
    assert "in_range=pc" in _filters(arguments)
    assert "out_range=pc" in _filters(arguments)


@pytest.mark.parametrize(
    ("asked", "bit_depth", "codec"),
    [("auto", 8, "libx264"), ("auto", 10, "libx265"), ("h264", 10, "libx264"), ("h265", 8, "libx265")],
)
def test_the_codec_keeps_what_the_source_has_unless_told_otherwise(asked: str, bit_depth: int, codec: str) -> None:
    source = _source(bit_depth=bit_depth)
    encoder = VideoEncoder.model_validate({"codec": asked})
    assert choose_codec(source.media.video[0], encoder) == codec
    deep = codec == "libx265" and bit_depth > 8
    filters = _filters(build_mp4(source, TranscodeSettings(encoder=encoder), rung=None))
    assert ("yuv420p10le" in filters) is deep


def test_h264_of_hdr_is_refused() -> None:
    with pytest.raises(MediaError, match="HDR") as caught:
        choose_codec(_source(hdr="pq", bit_depth=10).media.video[0], VideoEncoder(codec="h264"))
    assert caught.value.error.code is ErrorCode.MEDIA_UNSUPPORTED


def test_mp4_copies_the_audio_it_may_hold_and_encodes_the_rest() -> None:
    source = _source(audio=(("aac", 2, 128_000), ("vorbis", 6, 400_000)))
    arguments = build_mp4(source, TranscodeSettings(), rung=None)
    assert _after(arguments, "-map")[1:] == ["0:1", "0:2"]
    assert (_after(arguments, "-c:a:0"), _after(arguments, "-c:a:1")) == (["copy"], ["aac"])
    assert _after(arguments, "-b:a:1") == ["384000"]


def test_text_subtitles_are_kept_and_pictures_of_text_are_not() -> None:
    arguments = build_mp4(_source(subtitles=("subrip", "dvd_subtitle")), TranscodeSettings(), rung=None)
    assert _after(arguments, "-map")[-1] == "0:10"
    assert _after(arguments, "-c:s") == ["mov_text"]


def test_interlaced_pictures_become_progressive() -> None:
    assert "bwdif" in _filters(build_mp4(_source(interlaced=True), TranscodeSettings(), rung=None))
    assert "bwdif" not in _filters(build_mp4(_source(), TranscodeSettings(), rung=None))


def test_a_ladder_decodes_once_and_aligns_its_keyframes() -> None:
    arguments = build_hls(_source(), TranscodeSettings(container="hls", segment_s=4), rungs=_RUNGS)
    assert len(_after(arguments, "-i")) == 1
    assert _filters(arguments).count("split=2") == 1
    assert _after(arguments, "-force_key_frames") == ["expr:gte(t,n_forced*4)"] * 2
    assert _after(arguments, "-hls_time") == ["4"] * 2
    assert _after(arguments, "-b:v") == []
    assert _after(arguments, "-maxrate:v") == ["500000", "1500000"]
    assert [each for each in arguments if each.endswith(".m3u8")] == ["0_240p.m3u8", "1_480p.m3u8"]


def test_ladder_audio_is_copied_only_within_the_rungs_own_bitrate() -> None:
    arguments = build_hls(_source(), TranscodeSettings(container="hls"), rungs=_RUNGS)
    assert _after(arguments, "-c:a") == ["aac", "copy"]
    surround = build_hls(_source(audio=(("aac", 6, 100_000),)), TranscodeSettings(container="hls"), rungs=_RUNGS)
    assert _after(surround, "-ac") == ["2", "2"]
    silent = build_hls(_source(audio=()), TranscodeSettings(container="hls"), rungs=_RUNGS[:1])
    assert _after(silent, "-map") == ["[s2]"]


def test_hevc_ladders_are_fragmented_mp4() -> None:
    settings = TranscodeSettings(container="hls", encoder=VideoEncoder(codec="h265"))
    arguments = build_hls(_source(), settings, rungs=_RUNGS)
    assert _after(arguments, "-hls_segment_type") == ["fmp4"] * 2
    assert _after(arguments, "-tag:v") == ["hvc1"] * 2


def test_settings_are_the_part_of_a_job_that_names_no_files() -> None:
    spec = Transcode(
        input="/a.mp4",  # type: ignore[arg-type]  # pydantic turns the text into a MediaURI
        output="/b.mp4",  # type: ignore[arg-type]  # as above
        overwrite=True,
        renditions=(Rendition(height_px=480, video_bitrate_bps=900_000),),
    )
    assert TranscodeSettings.of(spec) == TranscodeSettings(overwrite=True, renditions=spec.renditions)
