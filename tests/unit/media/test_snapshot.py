"""Pictures out of a video: the right moment, the right way up."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.snapshot import snapshot
from mediabroker.media.tonemap import to_standard_range
from tests import clips


def _nearest_frame(path: Path, width: int = 64, height: int = 48, frames: int = 60) -> int:
    """Which frame of a clip the picture at `path` shows."""
    shown = np.asarray(Image.open(path).convert("RGB")).astype(float)
    distances = [np.abs(shown - clips.picture(index, width, height)).mean() for index in range(frames)]
    return int(np.argmin(distances))


def _code(source: Path, output: Path, *times: float, **options: object) -> ErrorCode:
    with pytest.raises(MediaError) as caught:
        snapshot(source, output, times or (0.0,), **options)  # type: ignore[arg-type]  # options of several types
    return caught.value.error.code


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts"])
def test_each_time_gives_the_frame_on_screen_then(tmp_path: Path, name: str) -> None:
    source = clips.make_open_gop(tmp_path / name, frames=50, audio=False)
    result = snapshot(source, tmp_path / "{index}.png", [0.0, 0.39, 0.4, 1.97, 1.0])
    shown = [_nearest_frame(output.uri.path) for output in result.outputs]
    assert shown == [0, 9, 10, 49, 25]
    assert [output.uri.name for output in result.outputs] == [f"{number}.png" for number in range(1, 6)]


def test_an_uneven_rate_is_answered_by_time_and_not_by_count(tmp_path: Path) -> None:
    source = clips.make_vfr(tmp_path / "in.mp4", pts_ms=(0, 20, 400, 420, 900))
    result = snapshot(source, tmp_path / "{index}.png", [0.39, 0.41, 0.8])
    assert [_nearest_frame(output.uri.path, frames=5) for output in result.outputs] == [1, 2, 3]


def test_a_time_after_the_end_is_refused_and_publishes_nothing(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    assert _code(source, tmp_path / "{index}.png", 0.1, 5.0) is ErrorCode.INVALID_SPEC
    assert [each.name for each in tmp_path.iterdir()] == ["in.mp4"]


def test_the_picture_is_upright_with_square_pixels(tmp_path: Path) -> None:
    turned = snapshot(clips.make_rotated(tmp_path / "r.mp4"), tmp_path / "r.png")
    assert (turned.width_px, turned.height_px) == (48, 64)
    pixels = np.asarray(Image.open(tmp_path / "r.png").convert("L")).astype(float)
    assert pixels[:12, -8:].mean() > 200 > pixels[:12, :8].mean()
    wide = clips.make_clip(tmp_path / "w.mp4", sample_aspect_ratio=Fraction(3, 2))
    assert snapshot(wide, tmp_path / "w.jpg").width_px == 96


def test_width_scales_and_keeps_the_shape(tmp_path: Path) -> None:
    result = snapshot(clips.make_rotated(tmp_path / "in.mp4"), tmp_path / "out.jpeg", width_px=96)
    assert (result.width_px, result.height_px) == (96, 128)
    with Image.open(tmp_path / "out.jpeg") as picture:
        assert picture.format == "JPEG"


def test_one_frame_odd_sizes_and_unknown_durations_work(tmp_path: Path) -> None:
    assert snapshot(clips.make_one_frame(tmp_path / "one.mp4"), tmp_path / "one.png").height_px == 48
    assert snapshot(clips.make_odd(tmp_path / "odd.mp4"), tmp_path / "odd.png").width_px == 33
    live = clips.make_mkv_without_duration(tmp_path / "live.mkv")
    snapshot(live, tmp_path / "live.png", [0.2])
    assert _nearest_frame(tmp_path / "live.png", frames=12) == 5


def test_hdr_is_mapped_and_not_left_grey(tmp_path: Path) -> None:
    snapshot(clips.make_hdr10(tmp_path / "in.mp4", frames=2), tmp_path / "out.png")
    corner = np.asarray(Image.open(tmp_path / "out.png").convert("L"))[:8, :8]
    assert corner.mean() > 240


@pytest.mark.parametrize(("curve", "white"), [("pq", 0.581), ("hlg", 0.75)])
def test_reference_white_of_hdr_is_bright_and_black_is_black(curve: str, white: float) -> None:
    """The code values of 203 nits: ITU-R BT.2408-7, table 1."""
    grey = np.array([[[0.0] * 3, [white] * 3, [1.0] * 3]], dtype=np.float32)
    mapped = to_standard_range(grey, curve)[0, :, 0]  # type: ignore[arg-type]  # parametrised
    assert mapped[0] == 0
    assert 170 <= mapped[1] <= 220
    assert mapped[2] == 255


def test_inputs_and_outputs_that_will_not_do_are_refused(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    (tmp_path / "there.png").touch()
    cancelled = threading.Event()
    cancelled.set()
    assert _code(source, tmp_path / "there.png") is ErrorCode.OUTPUT_EXISTS
    assert _code(source, tmp_path / "none" / "a.png") is ErrorCode.OUTPUT_DENIED
    assert _code(source, tmp_path / "a.png", cancel=cancelled) is ErrorCode.CANCELLED
    assert _code(clips.make_audio_only(tmp_path / "tone.mp4"), tmp_path / "a.png") is ErrorCode.MEDIA_UNSUPPORTED
    assert _code(clips.make_text(tmp_path / "text.mp4"), tmp_path / "a.png") is ErrorCode.MEDIA_UNSUPPORTED
    assert _code(tmp_path / "missing.mp4", tmp_path / "a.png") is ErrorCode.INPUT_NOT_FOUND
    snapshot(source, tmp_path / "there.png", overwrite=True)
    assert (tmp_path / "there.png").stat().st_size > 0
