"""Luma for the network, chroma for the encoder: nothing moves, nothing changes its range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from neuron_worker.video.frames import FramePreparer, luma_plane, plane_view
from neuron_worker.video.source import examine
from tests import clips
from tests.worker.looking import frames

Fill = Callable[[int, int, int], NDArray[Any]]


def encode_planes(path: Path, width: int, height: int, fill: Fill, *, codec: str, **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame(width, height, "yuv420p")
        for index in range(len(frame.planes)):
            plane = plane_view(frame, index)
            plane[:] = fill(index, *plane.shape)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("told.mp4", "libx264", {"qp": "0"}),
        ("silent.mkv", "ffv1", {}),
        ("silent.webm", "libvpx-vp9", {"lossless": "1", "cpu-used": "8"}),
    ],
)
def test_left_sited_chroma_stays_on_its_luma(
    name: str, codec: str, options: dict[str, str], scale: int, tmp_path: Path
) -> None:
    def ramp(index: int, height: int, width: int) -> NDArray[Any]:
        values = np.full((height, width), 128)
        return values if index == 0 else values - 120 + 7 * np.arange(width)[None, :]

    source = encode_planes(tmp_path / name, 64, 32, ramp, codec=codec, **options)
    frame = next(frames(source))
    _, canvas = FramePreparer(examine(source), scale).prepare(frame)
    middle = plane_view(canvas.frame, 1)[8 * scale, 4 * scale : 28 * scale].astype(float)
    # Chroma j sits on luma column 2j, before and after. Source: ITU-T H.264, figure 6-1 and table E-3 (type 0).
    column = np.arange(4 * scale, 28 * scale) * 2
    wanted = 8 + 7 * (((column + 0.5) / scale - 0.5) / 2)
    assert abs(float((middle - wanted).mean())) < 0.4


@pytest.mark.parametrize(
    ("codec", "siting", "stated"),
    [
        ("libx264", "left", "left"),
        ("libx264", "topleft", "topleft"),
        ("libx264", "center", "center"),
        ("mjpeg", "center", "center"),
        ("ffv1", "unspecified", "left"),
    ],
)
def test_siting_is_found_in_what_the_decoder_states(codec: str, siting: str, stated: str, tmp_path: Path) -> None:
    def flat(index: int, height: int, width: int) -> NDArray[Any]:
        return np.full((height, width), 128)

    source = tmp_path / "in.mkv"
    encode_planes(source, 64, 48, flat, codec=codec, chroma_sample_location=siting, strict="unofficial")
    assert examine(source).siting == stated


def test_odd_sides_are_filled_by_repetition_and_cut_again(tmp_path: Path) -> None:
    def steps(index: int, height: int, width: int) -> NDArray[Any]:
        return np.full((height, width), 60 * (index + 1)) + 2 * np.arange(width)[None, :]

    source = encode_planes(tmp_path / "odd.mkv", 33, 17, steps, codec="libvpx-vp9", lossless="1")
    frame = next(frames(source))
    luma, canvas = FramePreparer(examine(source), 2).prepare(frame)
    assert luma.shape == (1, 1, 18, 34)
    assert np.array_equal(luma[0, 0, :17, :33], plane_view(frame, 0))
    assert np.array_equal(luma[0, 0, :, 33], luma[0, 0, :, 32])
    assert np.array_equal(luma[0, 0, 17], luma[0, 0, 16])
    painted = canvas.paint(luma.repeat(2, 2).repeat(2, 3))
    assert (painted.width, painted.height) == (66, 34)
    assert np.array_equal(plane_view(painted, 0), plane_view(frame, 0).repeat(2, 0).repeat(2, 1))
    chroma = plane_view(painted, 1).astype(int)
    assert chroma.shape == (17, 33)
    assert np.abs(chroma - plane_view(frame, 1).repeat(2, 0).repeat(2, 1)[:17, :33]).max() <= 2


@pytest.mark.parametrize("make", [clips.make_clip, clips.make_full_range, clips.make_ten_bit])
def test_flat_chroma_keeps_its_value_whatever_the_range(make: Callable[[Path], Path], tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4")
    frame = next(frames(source))
    for index in (1, 2):
        plane_view(frame, index)[:] = 90
    _, canvas = FramePreparer(examine(source), 2).prepare(frame)
    assert all((plane_view(canvas.frame, index) == 90).all() for index in (1, 2))


def test_luma_of_deep_frames_is_in_the_unit_interval_and_comes_back_unchanged(tmp_path: Path) -> None:
    source = clips.make_ten_bit(tmp_path / "in.mp4")
    frame = next(frames(source))
    luma, canvas = FramePreparer(examine(source), 2).prepare(frame)
    assert luma.dtype == np.float32
    assert 0 <= luma.min() <= luma.max() <= 1
    painted = canvas.paint(np.clip(luma, 0, 1).repeat(2, 2).repeat(2, 3) * np.float32(1))
    assert np.array_equal(plane_view(painted, 0)[::2, ::2], plane_view(frame, 0))


def test_overshoot_of_the_deep_network_is_cut(tmp_path: Path) -> None:
    source = clips.make_ten_bit(tmp_path / "in.mp4")
    _, canvas = FramePreparer(examine(source), 2).prepare(next(frames(source)))
    painted = canvas.paint(np.full((1, 1, 96, 128), 1.5, np.float32))
    assert (plane_view(painted, 0) == 1023).all()
    assert luma_plane(painted).max() == 1
