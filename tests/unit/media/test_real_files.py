"""Files as people have them: made with ffmpeg's own muxers, and worked on as any other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mediabroker.errors import MediaError
from mediabroker.media.arguments import TranscodeSettings
from mediabroker.media.ffmpeg.binary import find_ffmpeg
from mediabroker.media.probe import probe
from mediabroker.media.snapshot import snapshot
from mediabroker.media.sniff import identify
from mediabroker.media.transcode import transcode

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2")
SOUND = ("-f", "lavfi", "-i", "sine=d=2:r=48000")
H264 = ("-c:v", "libx264", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac")


def make(path: Path, *arguments: str) -> Path:
    subprocess.run([str(find_ffmpeg(None)), "-v", "error", "-y", *arguments, str(path)], check=True, timeout=60)
    return path


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_short_file_whose_first_stream_is_sound_is_like_any_other(tmp_path: Path, suffix: str) -> None:
    source = make(tmp_path / f"in{suffix}", *PICTURE, *SOUND, "-map", "1:a", "-map", "0:v", *H264)
    assert probe(source).video[0].frame_count in (None, 50)
    snapshot(source, tmp_path / "at.png", (1.0,))
    assert transcode(source, tmp_path / "out.mp4", TranscodeSettings()).frame_count == 50
    hls = transcode(source, tmp_path / "out.m3u8", TranscodeSettings(container="hls"))
    assert hls.frame_count == 50


@pytest.mark.parametrize("suffix", [".mp4", ".flv"])
def test_a_live_recordings_start_offset_is_no_part_of_its_duration(tmp_path: Path, suffix: str) -> None:
    fragments = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-use_editlist", "0")
    late = ("-output_ts_offset", "36000", *(fragments if suffix == ".mp4" else ()))
    source = make(tmp_path / f"in{suffix}", *PICTURE, *SOUND, *H264, *late)
    media = probe(source)
    assert media.duration_s == pytest.approx(2.0, abs=0.1)
    result = transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    assert (result.frame_count, round(result.duration_s or 0)) == (50, 2)
    assert probe(tmp_path / "out.mp4").duration_s == pytest.approx(2.0, abs=0.1)


def test_a_picture_that_stands_under_sound_is_on_screen_until_the_end(tmp_path: Path) -> None:
    one = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=1:d=1")
    source = make(tmp_path / "in.mp4", *one, "-f", "lavfi", "-i", "sine=d=20", *H264)
    snapshot(source, tmp_path / "at.png", (15.0,))
    assert (tmp_path / "at.png").exists()
    with pytest.raises(MediaError, match="ends before"):
        snapshot(source, tmp_path / "late.png", (25.0,))


def test_a_rendition_names_its_codec_also_where_the_picture_comes_once_in_a_while(tmp_path: Path) -> None:
    rare = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=0.1:d=20")
    source = make(tmp_path / "in.mp4", *rare, "-f", "lavfi", "-i", "sine=d=20", *H264)
    transcode(source, tmp_path / "out.m3u8", TranscodeSettings(container="hls"))
    assert 'CODECS="avc1.' in (tmp_path / "out.m3u8").read_text()


def test_a_still_card_is_seen_in_every_rung_from_its_first_frame(tmp_path: Path) -> None:
    card = ("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=1,loop=loop=149:size=1,trim=end_frame=150")
    source = make(tmp_path / "in.mp4", *card, *H264, "-preset", "ultrafast")
    transcode(source, tmp_path / "out.m3u8", TranscodeSettings(container="hls"))
    rungs = sorted(path for path in tmp_path.glob("out-*/*.m3u8"))
    assert len(rungs) == 2
    for rung in rungs:
        with av.open(str(rung), container_options={"allowed_extensions": "ALL"}) as made, av.open(str(source)) as whole:
            seen = next(made.decode(video=0))
            meant = next(whole.decode(video=0)).reformat(seen.width, seen.height, interpolation="BICUBIC")
            error = np.mean((seen.to_ndarray(format="gray").astype(float) - meant.to_ndarray(format="gray")) ** 2)
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 36, rung.name


def test_a_transport_stream_that_starts_within_a_packet_is_one(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.ts", *PICTURE, *SOUND, *H264, "-f", "mpegts")
    source = tmp_path / "in.ts"
    source.write_bytes(whole.read_bytes()[88:])
    assert transcode(source, tmp_path / "out.mp4", TranscodeSettings()).frame_count == 50


@pytest.mark.parametrize(
    ("name", "arguments", "container"),
    [
        ("a.wmv", ("-c:v", "wmv2"), "asf"),
        ("a.mxf", ("-c:v", "mpeg2video"), "mxf"),
        ("a.y4m", (), "y4m"),
        ("a.gif", (), "gif"),
        ("a.h264", ("-c:v", "libx264", "-pix_fmt", "yuv420p"), "h264"),
        ("a.dv", ("-s", "720x576", "-r", "25", "-pix_fmt", "yuv420p"), "dv"),
    ],
)
def test_an_old_or_bare_container_is_worked_on(
    tmp_path: Path, name: str, arguments: tuple[str, ...], container: str
) -> None:
    source = make(tmp_path / name, *PICTURE, *arguments)
    found = identify(source.read_bytes()[:4096])
    assert found is not None
    assert found.name == container
    transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    assert frames_of(tmp_path / "out.mp4") in (49, 50)


@pytest.mark.parametrize("name", ["a.h264", "a.hevc"])
def test_a_stream_without_a_container_has_a_length_and_pictures_at_their_times(tmp_path: Path, name: str) -> None:
    encoder = ("libx264", "-bf", "2") if name == "a.h264" else ("libx265", "-x265-params", "log-level=error")
    source = make(tmp_path / name, *PICTURE, "-c:v", *encoder, "-pix_fmt", "yuv420p")
    media = probe(source)
    assert (media.duration_s, media.video[0].frame_count) == (2.0, 50)
    snapshot(source, tmp_path / "at.png", (1.0,))
    with Image.open(tmp_path / "at.png") as still, av.open(str(source)) as container:
        meant = list(container.decode(video=0))[25].to_ndarray(format="rgb24").astype(int)
        assert np.abs(np.asarray(still.convert("RGB")).astype(int) - meant).mean() < 2
    with pytest.raises(MediaError, match="ends before"):
        snapshot(source, tmp_path / "late.png", (5.0,))


def test_sound_that_aac_cannot_hold_is_refused_with_a_way_out_that_works(tmp_path: Path) -> None:
    many = ("-f", "lavfi", "-i", "anullsrc=r=48000:cl=22.2:d=2", "-c:a", "pcm_s16le", "-c:v", "libx264", "-shortest")
    source = make(tmp_path / "in.mov", *PICTURE, *many, "-pix_fmt", "yuv420p")
    with pytest.raises(MediaError, match=r"24 channels.*container hls"):
        transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    transcode(source, tmp_path / "out.m3u8", TranscodeSettings(container="hls"))


@pytest.mark.parametrize("flip", ["-display_hflip", "-display_vflip"])
def test_a_mirrored_recording_is_shown_alike_by_info_snapshot_and_transcode(tmp_path: Path, flip: str) -> None:
    plain = make(tmp_path / "plain.mp4", *PICTURE, *H264[:-2])
    source = make(tmp_path / "in.mp4", flip, "-i", str(plain), "-c", "copy")
    video = probe(source).video[0]
    assert (video.rotation_deg, video.mirrored) == ({"-display_hflip": 0, "-display_vflip": 180}[flip], True)
    snapshot(source, tmp_path / "at.png", (0.0,))
    transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    with Image.open(tmp_path / "at.png") as still, av.open(str(tmp_path / "out.mp4")) as made, av.open(str(plain)) as a:
        stored = next(a.decode(video=0)).to_ndarray(format="rgb24").astype(int)
        meant = stored[:, ::-1] if flip == "-display_hflip" else stored[::-1]
        shown = next(made.decode(video=0)).to_ndarray(format="rgb24").astype(int)
        assert np.abs(np.asarray(still.convert("RGB")).astype(int) - meant).mean() < 4
        assert np.abs(shown - meant).mean() < 8


def loudest_hz(path: Path) -> int:
    with av.open(str(path), options={"allowed_extensions": "ALL"}) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]).astype(float)
        rate = container.streams.audio[0].rate
    return round(int(np.argmax(np.abs(np.fft.rfft(samples)))) * rate / len(samples))


def tone(hertz: int) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine={hertz}:d=2:r=48000")


@pytest.mark.parametrize("kind", ["programmes", "languages"])
def test_the_sound_that_belongs_to_the_picture_is_the_first_of_a_file_and_the_only_one_of_a_ladder(
    tmp_path: Path, kind: str
) -> None:
    both = (*PICTURE, *tone(200), *tone(1000), "-map", "1:a", "-map", "2:a", "-map", "0:v", *H264)
    own = {
        "programmes": ("-program", "title=radio:st=0", "-program", "title=tv:st=1:st=2", "-f", "mpegts"),
        "languages": ("-disposition:a:0", "0", "-disposition:a:1", "default"),
    }
    source = make(tmp_path / ("in.ts" if kind == "programmes" else "in.mkv"), *both, *own[kind])
    transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    assert loudest_hz(tmp_path / "out.mp4") == pytest.approx(1000, abs=5)
    transcode(source, tmp_path / "out.m3u8", TranscodeSettings(container="hls"))
    (rung,) = tmp_path.glob("out-*/*.m3u8")
    assert loudest_hz(rung) == pytest.approx(1000, abs=5)
