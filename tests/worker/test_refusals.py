"""What cannot be done is said early, in a typed error, and leaves nothing behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
import pytest

from mediabroker.errors import ConfigurationError, ErrorCode, InvalidJobError, MediaError
from mediabroker.results import VideoResult
from neuron_worker.document import parse_document
from neuron_worker.failures import Exit, InterruptedWorkError, exit_code_of
from neuron_worker.video.pipeline import upscale_video
from tests import clips

Upscale = Callable[..., VideoResult]


def refusal(upscale: Upscale, source: Path, output: Path | None = None, **fields: Any) -> MediaError:
    with pytest.raises(MediaError) as caught:
        upscale(source, output, **fields)
    return caught.value


def make_alpha(path: Path) -> Path:
    return clips.make_clip(path, codec="ffv1", pix_fmt="yuva420p", audio=False)


def make_webm_with_alpha(path: Path) -> Path:
    return clips.make_clip(path, codec="libvpx-vp9", pix_fmt="yuva420p", codec_options={"cpu-used": "8"}, audio=False)


def make_cut(path: Path) -> Path:
    clips.make_clip(path, frames=50, codec="mpeg4" if path.suffix == ".avi" else "libx264", audio=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 7 // 10])
    return path


def make_rgb(path: Path) -> Path:
    return clips.make_clip(path, codec="ffv1", pix_fmt="bgr0", audio=False)


def make_twelve_bit(path: Path) -> Path:
    options = {"x265-params": "log-level=error"}
    return clips.make_clip(path, codec="libx265", pix_fmt="yuv420p12le", codec_options=options, audio=False)


def make_empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("make", "name", "code"),
    [
        (lambda path: path, "missing.mp4", ErrorCode.INPUT_NOT_FOUND),
        (make_empty, "empty.mp4", ErrorCode.MEDIA_CORRUPT),
        (clips.make_text, "text.mp4", ErrorCode.MEDIA_UNSUPPORTED),
        (clips.make_audio_only, "sound.mp4", ErrorCode.MEDIA_UNSUPPORTED),
        (clips.make_cover_art, "cover.mp4", ErrorCode.MEDIA_UNSUPPORTED),
        (clips.make_zero_frames, "none.mp4", ErrorCode.MEDIA_CORRUPT),
        (clips.make_zero_frames, "none.mkv", ErrorCode.MEDIA_CORRUPT),
        (clips.make_interlaced, "fields.mp4", ErrorCode.MEDIA_UNSUPPORTED),
        (make_alpha, "alpha.mkv", ErrorCode.MEDIA_UNSUPPORTED),
        (make_webm_with_alpha, "alpha.webm", ErrorCode.MEDIA_UNSUPPORTED),
        (make_rgb, "rgb.mkv", ErrorCode.MEDIA_UNSUPPORTED),
        (make_cut, "cut.mkv", ErrorCode.MEDIA_CORRUPT),
        (make_cut, "cut.avi", ErrorCode.MEDIA_CORRUPT),
        (make_twelve_bit, "deep.mkv", ErrorCode.MEDIA_UNSUPPORTED),
        (clips.make_truncated, "cut.mp4", ErrorCode.MEDIA_CORRUPT),
        (lambda path: clips.make_truncated(path, faststart=False), "headless.mp4", ErrorCode.MEDIA_CORRUPT),
    ],
)
def test_source_that_cannot_be_upscaled_is_refused(
    make: Callable[[Path], Path], name: str, code: ErrorCode, tmp_path: Path, upscale: Upscale
) -> None:
    source = make(tmp_path / name)
    error = refusal(upscale, source)
    assert error.error.code is code
    assert exit_code_of(error) == Exit.BAD_INPUT
    assert not (tmp_path / "out.mp4").exists()


def test_playlist_under_a_videos_name_is_refused(tmp_path: Path, upscale: Upscale) -> None:
    secret = clips.make_clip(tmp_path / "secret.mp4")
    error = refusal(upscale, clips.make_hls_as_mp4(tmp_path / "list.mp4", secret))
    assert error.error.code is ErrorCode.MEDIA_UNSUPPORTED


def test_audio_that_mp4_cannot_hold_is_refused_by_name_with_a_way_out(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.mkv", audio_codec="pcm_s16le")
    error = refusal(upscale, source)
    assert error.error.code is ErrorCode.MEDIA_UNSUPPORTED
    assert "pcm_s16le" in error.error.message
    assert ".mkv" in error.error.message
    assert upscale(source, tmp_path / "out.mkv").frame_count == 12


def test_subtitles_that_mp4_cannot_hold_are_refused_by_name(tmp_path: Path, upscale: Upscale) -> None:
    error = refusal(upscale, clips.make_with_subtitles(tmp_path / "in.mkv"))
    assert error.error.code is ErrorCode.MEDIA_UNSUPPORTED
    assert "subtitle stream" in error.error.message


@pytest.mark.parametrize("name", ["out.avi", "out", "out.mp4.txt"])
def test_output_in_no_known_container_is_refused(name: str, tmp_path: Path, upscale: Upscale) -> None:
    error = refusal(upscale, clips.make_clip(tmp_path / "in.mp4"), tmp_path / name)
    assert exit_code_of(error) == Exit.INVALID


def test_output_that_exists_is_kept_unless_overwriting_was_asked_for(tmp_path: Path, upscale: Upscale) -> None:
    source, output = clips.make_clip(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    output.write_text("precious")
    error = refusal(upscale, source)
    assert (error.error.code, exit_code_of(error)) == (ErrorCode.OUTPUT_EXISTS, Exit.OUTPUT)
    assert output.read_text() == "precious"
    assert upscale(source, overwrite=True).frame_count == 12
    assert output.stat().st_size > 100


def test_missing_output_folder_is_refused_before_work(tmp_path: Path, upscale: Upscale) -> None:
    error = refusal(upscale, clips.make_clip(tmp_path / "in.mp4"), tmp_path / "nowhere" / "out.mp4")
    assert error.error.code is ErrorCode.OUTPUT_DENIED
    assert not (tmp_path / "work").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_read_only_output_folder_is_refused_before_work(tmp_path: Path, upscale: Upscale) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    error = refusal(upscale, clips.make_clip(tmp_path / "in.mp4"), folder / "out.mp4")
    assert error.error.code is ErrorCode.OUTPUT_DENIED


def test_full_disk_is_foreseen(tmp_path: Path, upscale: Upscale, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10})()
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    error = refusal(upscale, clips.make_clip(tmp_path / "in.mp4"))
    assert (error.error.code, exit_code_of(error)) == (ErrorCode.OUT_OF_RESOURCES, Exit.LIMIT)


def test_picture_that_changes_its_size_midway_is_refused(tmp_path: Path, upscale: Upscale) -> None:
    parts = [clips.make_clip(tmp_path / f"{width}.ts", width=width, audio=False) for width in (64, 96)]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    error = refusal(upscale, source)
    assert error.error.code in (ErrorCode.MEDIA_UNSUPPORTED, ErrorCode.MEDIA_CORRUPT)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"color": {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}}, "colour tags"),
        ({"color": {"color_range": 2, "colorspace": 6, "color_primaries": 6, "color_trc": 6}}, "colour tags"),
        ({"sample_aspect_ratio": Fraction(4, 3)}, "pixel aspect"),
    ],
    ids=["matrix", "range", "aspect"],
)
def test_tags_that_change_midway_are_refused(
    change: dict[str, Any], named: str, tmp_path: Path, upscale: Upscale
) -> None:
    same = {
        "color": {"color_range": 1, "colorspace": 6, "color_primaries": 6, "color_trc": 6},
        "sample_aspect_ratio": Fraction(1),
    }
    halves = [
        clips.make_clip(tmp_path / f"{number}.ts", pts=range(12 * number, 12 * number + 12), audio=False, **fields)
        for number, fields in enumerate([same, {**same, **change}])
    ]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(half.read_bytes() for half in halves))
    error = refusal(upscale, source)
    assert error.error.code is ErrorCode.MEDIA_UNSUPPORTED
    assert named in str(error)


def test_damage_in_the_middle_is_an_error_and_not_a_shorter_video(tmp_path: Path, upscale: Upscale) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=60, codec_options={"x264-params": "keyint=10"})
    with av.open(str(source)) as container:
        whole = [packet for packet in container.demux(video=0) if packet.size]
        middle = whole[len(whole) // 2]
        start, size = middle.pos, middle.size
    content = bytearray(source.read_bytes())
    assert start is not None
    content[start : start + size] = bytes(size)
    source.write_bytes(content)
    error = refusal(upscale, source)
    assert error.error.code is ErrorCode.MEDIA_CORRUPT


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('"scale": 3', "scale"),
        ('"colour": "red"', "colour"),
        ('"slice_s": 0', "slice_s"),
        ('"model": "../up"', "model"),
        ('"encoder": {"crf": 20, "bitrate_bps": 100000}', "crf or video_bitrate_bps"),
        ('"output": "/a.mp4"', "also the input"),
        ('"input": "s3://bucket/key.mp4"', "not a local file"),
    ],
)
def test_wrong_document_is_refused_with_the_field_that_is_wrong(fields: str, words: str) -> None:
    base = '{"input": "/a.mp4", "output": "/b.mp4", "work_dir": "/w", %s}'
    with pytest.raises(InvalidJobError, match=words) as caught:
        parse_document(base % fields)
    assert exit_code_of(caught.value) == Exit.INVALID


@pytest.mark.parametrize("within", ["", "below.mp4"])
def test_links_in_a_loop_are_refused_as_input_and_as_output(within: str, tmp_path: Path, upscale: Upscale) -> None:
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    assert refusal(upscale, loop / within).error.code is ErrorCode.INPUT_DENIED
    source = clips.make_one_frame(tmp_path / "in.mp4")
    expected = ErrorCode.OUTPUT_DENIED if within else ErrorCode.OUTPUT_EXISTS
    assert refusal(upscale, source, loop / within).error.code is expected


def test_an_output_that_a_link_leads_to_the_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").touch()
    (tmp_path / "out.mp4").symlink_to("in.mp4")
    names = {"input": f"{tmp_path}/in.mp4", "output": f"{tmp_path}/out.mp4", "work_dir": "/w"}
    with pytest.raises(InvalidJobError, match="also the input"):
        parse_document(json.dumps(names))


@pytest.mark.parametrize("fields", [{"model": "unheard-of"}, {"runtime": "abacus"}])
def test_unknown_model_or_runtime_is_refused_with_what_there_is(
    fields: dict[str, str], tmp_path: Path, upscale: Upscale
) -> None:
    with pytest.raises(ConfigurationError, match="here are") as caught:
        upscale(clips.make_clip(tmp_path / "in.mp4"), **fields)
    assert exit_code_of(caught.value) == Exit.INVALID


def test_ten_bit_video_is_not_squeezed_into_h264(tmp_path: Path, upscale: Upscale) -> None:
    error = refusal(upscale, clips.make_ten_bit(tmp_path / "in.mp4"), encoder={"codec": "h264"})
    assert error.error.code is ErrorCode.MEDIA_UNSUPPORTED


def test_stop_that_was_set_before_ends_the_work_at_once(tmp_path: Path, describe: Callable[..., Any]) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(InterruptedWorkError):
        upscale_video(describe(clips.make_clip(tmp_path / "in.mp4")), lambda progress: None, stop)
    assert not (tmp_path / "out.mp4").exists()


def test_a_document_of_version_1_is_read_as_one_of_today() -> None:
    flat = '{"version": 1, "input": "/a.mp4", "output": "/b.mp4", "work_dir": "/w", "scale": 4, "threads": 2}'
    nested = (
        '{"version": 2, "job": {"input": "/a.mp4", "output": "/b.mp4", "scale": 4}, "work_dir": "/w", "threads": 2}'
    )
    assert parse_document(flat) == parse_document(nested)
