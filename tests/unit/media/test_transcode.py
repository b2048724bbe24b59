"""Transcodes of real clips with the real ffmpeg: what comes out, and what stands at the output when it fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import pytest

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.jobs import Rendition, VideoEncoder
from mediabroker.media.ffmpeg.progress import Progress
from mediabroker.media.probe import open_input, probe
from mediabroker.media.transcode import TranscodeSettings, transcode
from tests import clips

_QUICK = {"preset": "ultrafast"}
_FAST = VideoEncoder(preset="ultrafast")
_MP4 = TranscodeSettings(encoder=_FAST)
_HLS = TranscodeSettings(container="hls", segment_s=1.0, encoder=_FAST)


def _frames(path: Path) -> list[av.VideoFrame]:
    with open_input(path) as container:
        return list(container.decode(video=0))


def _times_ms(path: Path) -> list[int]:
    return [round(float(frame.time) * 1000) for frame in _frames(path)]


def _corner(frame: av.VideoFrame, where: str) -> float:
    """Mean brightness of one corner: the clips carry a white square top left, as stored."""
    grey = frame.reformat(format="gray").to_ndarray()
    rows, columns = grey.shape[0] // 5, grey.shape[1] // 5
    vertical, horizontal = where.split()
    part = grey[:rows] if vertical == "top" else grey[-rows:]
    return float((part[:, :columns] if horizontal == "left" else part[:, -columns:]).mean())


def _code(source: Path, output: Path, settings: TranscodeSettings = _MP4, **options: object) -> ErrorCode:
    before = sorted(output.parent.iterdir()) if output.parent.is_dir() else []
    with pytest.raises(MediaError) as caught:
        transcode(source, output, settings, **options)  # type: ignore[arg-type]  # options of several types
    assert (sorted(output.parent.iterdir()) if output.parent.is_dir() else []) == before, "something was left behind"
    return caught.value.error.code


def test_W12_every_frame_keeps_its_time_at_an_uneven_rate(tmp_path: Path) -> None:
    source = clips.make_vfr(tmp_path / "in.mp4")
    result = transcode(source, tmp_path / "out.mp4", _MP4)
    assert _times_ms(tmp_path / "out.mp4") == _times_ms(source)
    assert result.frame_count == 10


def test_the_result_says_what_was_measured(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=25, rate=Fraction(30000, 1001))
    result = transcode(source, tmp_path / "out.mp4", _MP4)
    assert (result.width_px, result.height_px, result.frame_count) == (64, 48, 25)
    assert result.frame_rate == "30000/1001"
    assert result.duration_s == pytest.approx(25 * 1001 / 30000, abs=0.001)
    (output,) = result.outputs
    assert output.uri.path == tmp_path / "out.mp4"
    assert output.size_bytes == (tmp_path / "out.mp4").stat().st_size


def test_audio_that_mp4_may_hold_is_copied_packet_for_packet(tmp_path: Path) -> None:
    def packets(path: Path) -> list[bytes]:
        with open_input(path) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    source = clips.make_clip(tmp_path / "in.mkv", frames=25)
    transcode(source, tmp_path / "out.mp4", _MP4)
    assert packets(tmp_path / "out.mp4") == packets(source)


def test_text_subtitles_survive(tmp_path: Path) -> None:
    transcode(clips.make_with_subtitles(tmp_path / "in.mkv"), tmp_path / "out.mp4", _MP4)
    assert [each.codec for each in probe(tmp_path / "out.mp4").subtitles] == ["mov_text"]


def test_W12_a_turned_video_comes_out_upright(tmp_path: Path) -> None:
    transcode(clips.make_rotated(tmp_path / "in.mp4"), tmp_path / "out.mp4", _MP4)
    (video,) = probe(tmp_path / "out.mp4").video
    assert (video.width_px, video.height_px, video.rotation_deg) == (48, 64, 0)
    frame = _frames(tmp_path / "out.mp4")[0]
    assert _corner(frame, "top right") > 180
    assert _corner(frame, "top left") < 150


@pytest.mark.parametrize(("size", "expected"), [((33, 17), (32, 16)), ((2, 2), (2, 2)), ((64, 47), (64, 46))])
def test_W12_odd_sizes_become_even_ones(tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]) -> None:
    source = clips.make_odd(tmp_path / "in.mp4", width=size[0], height=size[1], frames=3)
    result = transcode(source, tmp_path / "out.mp4", _MP4)
    assert (result.width_px, result.height_px) == expected


def test_full_range_stays_full_range_and_keeps_its_brightness(tmp_path: Path) -> None:
    source = clips.make_full_range(tmp_path / "in.mp4")
    transcode(source, tmp_path / "out.mp4", TranscodeSettings(encoder=VideoEncoder(crf=4)))
    assert probe(tmp_path / "out.mp4").video[0].color_range == "pc"
    before, after = (_frames(path)[0].to_ndarray()[:48] for path in (source, tmp_path / "out.mp4"))
    assert abs(before.astype(float) - after.astype(float)).mean() < 2


def test_hdr_stays_hdr_and_h264_of_it_is_refused(tmp_path: Path) -> None:
    source = clips.make_hdr10(tmp_path / "in.mp4", frames=4)
    transcode(source, tmp_path / "out.mp4", _MP4)
    before, after = probe(source).video[0], probe(tmp_path / "out.mp4").video[0]
    for name in ("codec", "bit_depth", "hdr", "color_primaries", "color_transfer", "color_matrix", "color_range"):
        assert getattr(after, name) == getattr(before, name), name
    squashed = TranscodeSettings(encoder=VideoEncoder(codec="h264"))
    assert _code(source, tmp_path / "other.mp4", squashed) is ErrorCode.MEDIA_UNSUPPORTED


def test_interlaced_becomes_progressive_frame_for_frame(tmp_path: Path) -> None:
    result = transcode(clips.make_interlaced(tmp_path / "in.mp4"), tmp_path / "out.mp4", _MP4)
    assert result.frame_count == 12
    assert not probe(tmp_path / "out.mp4").video[0].interlaced


def test_pixel_aspect_is_kept_at_the_same_size_and_made_square_in_a_rendition(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", width=128, height=96, sample_aspect_ratio=Fraction(4, 3))
    transcode(source, tmp_path / "same.mp4", _MP4)
    assert probe(tmp_path / "same.mp4").video[0].sample_aspect_ratio == "4/3"
    asked = TranscodeSettings(encoder=_FAST, renditions=(Rendition(height_px=72, video_bitrate_bps=50_000),))
    result = transcode(source, tmp_path / "small.mp4", asked)
    assert (result.width_px, result.height_px) == (128, 72)
    assert probe(tmp_path / "small.mp4").video[0].sample_aspect_ratio == "1/1"


def test_one_frame_and_an_unknown_duration_work_and_report_progress(tmp_path: Path) -> None:
    assert transcode(clips.make_one_frame(tmp_path / "one.mp4"), tmp_path / "a.mp4", _MP4).frame_count == 1
    seen: list[Progress] = []
    source = clips.make_mkv_without_duration(tmp_path / "live.mkv")
    transcode(source, tmp_path / "b.mp4", _MP4, on_progress=seen.append)
    assert seen[-1].frames == 12
    assert seen[-1].fraction is None


def test_a_ladder_is_aligned_complete_and_described_truthfully(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", width=426, height=300, frames=60, codec_options=_QUICK)
    result = transcode(source, tmp_path / "my show.m3u8", _HLS)
    assert (result.width_px, result.height_px, result.frame_count) == (426, 300, 60)
    assert result.duration_s == pytest.approx(2.4, abs=0.05)
    master, *variants = [output.uri.path for output in result.outputs]
    text = master.read_text()
    assert text.count("#EXT-X-STREAM-INF") == len(variants) == 2
    assert "RESOLUTION=340x240" in text
    assert 'CODECS="avc1.' in text
    assert "FRAME-RATE=25.000" in text
    starts = []
    for variant in variants:
        segments = [line for line in variant.read_text().splitlines() if not line.startswith("#")]
        assert len(segments) == 3
        starts.append([_first_packet(variant.with_name(name)) for name in segments])
    assert starts[0] == starts[1]
    assert all(keyframe for keyframe, _ in starts[0])


def _first_packet(path: Path) -> tuple[bool, int | None]:
    with open_input(path) as container:
        packet = next(container.demux(video=0))
        return packet.is_keyframe, packet.pts


def test_the_whole_ladder_can_be_played_from_its_master(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", width=128, height=96, frames=50)
    master = transcode(source, tmp_path / "out.m3u8", _HLS).outputs[0].uri.path
    with av.open(str(master), format="hls") as container:
        assert sum(1 for _ in container.decode(video=0)) == 50


def test_an_hdr_ladder_is_fragmented_and_says_so(tmp_path: Path) -> None:
    source = clips.make_hdr10(tmp_path / "in.mp4", frames=30)
    transcode(source, tmp_path / "out.m3u8", _HLS)
    text = (tmp_path / "out.m3u8").read_text()
    assert 'CODECS="hvc1.2.4.' in text
    assert "VIDEO-RANGE=PQ" in text
    with av.open(str(tmp_path / "out.m3u8"), format="hls") as container:
        assert sum(1 for _ in container.decode(video=0)) == 30


def test_replacing_a_ladder_leaves_only_the_new_one(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    transcode(source, tmp_path / "out.m3u8", _HLS)
    assert _code(source, tmp_path / "out.m3u8", _HLS) is ErrorCode.OUTPUT_EXISTS
    strangers = {tmp_path / "out-other", tmp_path / "out-take-01234567", tmp_path / "01234567"}
    for stranger in strangers:
        stranger.mkdir()
        with (tmp_path / "out.m3u8").open("a") as master:
            master.write(f"{stranger.name}/v.m3u8\n")
    transcode(source, tmp_path / "out.m3u8", _HLS.model_copy(update={"overwrite": True}))
    folders = [each for each in tmp_path.iterdir() if each.is_dir() and each not in strangers]
    assert len(folders) == 1
    assert all(stranger.is_dir() for stranger in strangers)
    assert folders[0].name in (tmp_path / "out.m3u8").read_text()


def test_an_existing_output_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    (tmp_path / "out.mp4").write_bytes(b"old")
    assert _code(source, tmp_path / "out.mp4") is ErrorCode.OUTPUT_EXISTS
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    transcode(source, tmp_path / "out.mp4", TranscodeSettings(encoder=_FAST, overwrite=True))
    assert probe(tmp_path / "out.mp4").video


def test_the_input_is_never_its_own_output(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    whole = source.read_bytes()
    (tmp_path / "alias.mp4").symlink_to(source)
    settings = TranscodeSettings(overwrite=True)
    assert _code(source, source, settings) is ErrorCode.INVALID_SPEC
    assert _code(source, tmp_path / "alias.mp4", settings) is ErrorCode.INVALID_SPEC
    assert source.read_bytes() == whole


def test_unusable_inputs_are_refused_with_their_code(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    lure = clips.make_hls_as_mp4(tmp_path / "lure.mp4", clips.make_clip(tmp_path / "target.mp4"))
    expected = {
        tmp_path / "missing.mp4": ErrorCode.INPUT_NOT_FOUND,
        tmp_path / "empty.mp4": ErrorCode.MEDIA_CORRUPT,
        clips.make_text(tmp_path / "text.mp4"): ErrorCode.MEDIA_UNSUPPORTED,
        lure: ErrorCode.MEDIA_UNSUPPORTED,
        clips.make_audio_only(tmp_path / "tone.mp4"): ErrorCode.MEDIA_UNSUPPORTED,
        clips.make_zero_frames(tmp_path / "zero.mp4"): ErrorCode.MEDIA_CORRUPT,
    }
    for source, code in expected.items():
        assert _code(source, tmp_path / "out.mp4") is code, source
        assert _code(source, tmp_path / "out.m3u8", _HLS) is code, source


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts"])
@pytest.mark.parametrize("settings", [_MP4, _HLS], ids=["mp4", "hls"])
def test_W7_an_input_that_breaks_off_is_no_success(tmp_path: Path, name: str, settings: TranscodeSettings) -> None:
    source = clips.make_truncated(tmp_path / name, faststart=name == "in.mp4", frames=60)
    output = tmp_path / ("out.mp4" if settings is _MP4 else "out.m3u8")
    if name == "in.ts":  # a transport stream has no end that could be missing
        assert transcode(source, output, settings).frame_count
    else:
        assert _code(source, output, settings) is ErrorCode.MEDIA_CORRUPT


def test_W7_a_short_result_with_exit_code_0_is_no_success(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=50)
    clips.make_clip(tmp_path / "short.mp4", frames=10)
    lazy = tmp_path / "ffmpeg"
    lazy.write_text(
        "#!/bin/sh\ncase \"$*\" in *-encoders*) echo 'ffmpeg version 9.0' >&2;"
        " printf ' V....D libx264 x\\n A....D aac x\\n';; *) cp ../short.mp4 out.mp4;; esac\n"
    )
    lazy.chmod(0o755)
    assert _code(source, tmp_path / "out.mp4", _MP4, ffmpeg=lazy) is ErrorCode.MEDIA_CORRUPT


def test_output_folders_that_are_missing_or_refuse_writing_are_denied(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    assert _code(source, tmp_path / "none" / "out.mp4") is ErrorCode.OUTPUT_DENIED
    assert _code(source, tmp_path) is ErrorCode.OUTPUT_DENIED


@pytest.mark.skipif(sys.platform != "linux", reason="/proc refuses new files even to root")
def test_a_folder_that_only_pretends_to_be_writable_is_denied(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    with pytest.raises(MediaError) as caught:
        transcode(source, Path("/proc/out.mp4"), _MP4)
    assert caught.value.error.code is ErrorCode.OUTPUT_DENIED


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    cancel = threading.Event()
    cancel.set()
    assert _code(source, tmp_path / "out.mp4", _MP4, cancel=cancel) is ErrorCode.CANCELLED
    assert _code(source, tmp_path / "out.m3u8", _HLS, cancel=cancel) is ErrorCode.CANCELLED


def test_two_bitrates_for_one_thing_are_refused(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    asked = Rendition(height_px=64, video_bitrate_bps=60_000)
    settings = TranscodeSettings(renditions=(asked,), encoder=VideoEncoder(video_bitrate_bps=90_000))
    assert _code(source, tmp_path / "out.mp4", settings) is ErrorCode.INVALID_SPEC


_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from mediabroker.errors import MediaError
from mediabroker.jobs import VideoEncoder
from mediabroker.media.transcode import TranscodeSettings, transcode
disk = Path(sys.argv[2])
for name, container in (("out.mp4", "mp4"), ("out.m3u8", "hls")):
    try:
        transcode(Path(sys.argv[1]), disk / name, TranscodeSettings(container=container, encoder=VideoEncoder(crf=1)))
    except MediaError as error:
        print(error.error.code, [each.name for each in disk.iterdir()])
"""


def test_W11_a_full_disk_is_out_of_resources_and_leaves_nothing(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", width=320, height=240, frames=25, codec_options=_QUICK)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=16k tmpfs {disk}"
    own_namespace = [shutil.which("unshare") or "/bin/false", "-rm", "sh", "-c"]
    if subprocess.run([*own_namespace, mount], capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    script = tmp_path / "script.py"
    script.write_text(_ON_A_SMALL_DISK)
    run = f'{mount} && exec "$0" "$@"'
    command = [*own_namespace, run, sys.executable, str(script), str(source), str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["OUT_OF_RESOURCES []"] * 2, done.stderr
