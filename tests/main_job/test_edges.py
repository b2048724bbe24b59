"""Super-resolution through the whole house, at its edges: real files, the real broker, real child processes.

Every awkward input has a defined end: the right video, or one typed error and nothing at the output's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from mediabroker import (
    Broker,
    ErrorCode,
    InvalidJobError,
    JobFailedError,
    JobSpec,
    SuperResolution,
    UnsupportedError,
    VideoResult,
)
from tests import clips

_LIMIT_S = 60


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as opened:
        yield opened


def _upscale(broker: Broker, source: Path, output: Path, **fields: Any) -> VideoResult:
    return broker.run(SuperResolution(input=str(source), output=str(output), **fields), timeout=_LIMIT_S)


def _timestamps(path: Path) -> list[Fraction]:
    """Presentation times of all decoded frames, in seconds from the first."""
    with av.open(str(path)) as container:
        times = [Fraction(frame.pts) * frame.time_base for frame in container.decode(video=0) if frame.pts is not None]
    return [time - times[0] for time in times]


def _code_of(broker: Broker, source: Path, output: Path, **fields: Any) -> ErrorCode:
    with pytest.raises(JobFailedError) as caught:
        _upscale(broker, source, output, **fields)
    assert str(caught.value.error.message)
    return caught.value.error.code


def _nothing_left(folder: Path) -> bool:
    return not list(folder.iterdir())


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


_BAD_INPUTS: dict[str, tuple[Callable[[Path], object], set[ErrorCode]]] = {
    "empty": (lambda path: path.touch(), {ErrorCode.MEDIA_CORRUPT}),
    "text": (clips.make_text, {ErrorCode.MEDIA_CORRUPT, ErrorCode.MEDIA_UNSUPPORTED}),
    "audio-only": (clips.make_audio_only, {ErrorCode.MEDIA_UNSUPPORTED}),
    "zero-frames": (clips.make_zero_frames, {ErrorCode.MEDIA_CORRUPT, ErrorCode.MEDIA_UNSUPPORTED}),
    "folder": (lambda path: path.mkdir(), {ErrorCode.INPUT_NOT_FOUND, ErrorCode.INPUT_DENIED, ErrorCode.MEDIA_CORRUPT}),
    "playlist": (
        lambda path: clips.make_hls_as_mp4(path, clips.make_clip(path.with_name("secret.mp4"))),
        {ErrorCode.MEDIA_UNSUPPORTED, ErrorCode.MEDIA_CORRUPT},
    ),
    "moov-cut-off": (
        lambda path: clips.make_truncated(path, keep=0.5, faststart=False),
        {ErrorCode.MEDIA_CORRUPT},
    ),
    "interlaced": (clips.make_interlaced, {ErrorCode.MEDIA_UNSUPPORTED}),
}


def test_an_input_that_does_not_exist_is_refused_and_leaves_nothing(
    broker: Broker, tmp_path: Path, outbox: Path
) -> None:
    with pytest.raises(InvalidJobError, match=r"input: .*in\.mp4 does not exist"):
        _upscale(broker, tmp_path / "in.mp4", outbox / "out.mp4")
    assert _nothing_left(outbox)
    assert list(broker.list()) == []


@pytest.mark.parametrize("name", _BAD_INPUTS)
def test_unusable_input_is_a_typed_failure_and_leaves_nothing(
    broker: Broker, tmp_path: Path, outbox: Path, name: str
) -> None:
    make, codes = _BAD_INPUTS[name]
    source = tmp_path / "in.mp4"
    make(source)
    assert _code_of(broker, source, outbox / "out.mp4") in codes
    assert _nothing_left(outbox)


_GOOD_INPUTS: dict[str, Callable[[Path], Path]] = {
    "plain": clips.make_clip,
    "one-frame": clips.make_one_frame,
    "33x17": clips.make_odd,
    "variable-rate": clips.make_vfr,
    "rotated": clips.make_rotated,
    "full-range": clips.make_full_range,
    "10-bit": clips.make_ten_bit,
    "hdr10": clips.make_hdr10,
    "open-gop": clips.make_open_gop,
}


@pytest.mark.parametrize("name", _GOOD_INPUTS)
def test_awkward_input_keeps_every_frame_its_time_and_its_tags(
    broker: Broker, tmp_path: Path, outbox: Path, name: str
) -> None:
    source = _GOOD_INPUTS[name](tmp_path / "in.mp4")
    output = outbox / "out.mp4"
    result = _upscale(broker, source, output)
    assert _timestamps(output) == _timestamps(source)
    with av.open(str(source)) as before, av.open(str(output)) as after:
        old, new = before.streams.video[0], after.streams.video[0]
        assert (new.width, new.height) == (2 * old.width, 2 * old.height) == (result.width_px, result.height_px)
        assert (new.sample_aspect_ratio or 1) == (old.sample_aspect_ratio or 1)
        for tag in ("color_primaries", "color_trc", "colorspace"):
            assert getattr(new.codec_context, tag) == getattr(old.codec_context, tag), tag
        # A range that is not stated means limited, and x265 states it.
        assert (new.codec_context.color_range or 1) == (old.codec_context.color_range or 1)
        first_old, first_new = next(before.decode(video=0)), next(after.decode(video=0))
        assert first_new.rotation == first_old.rotation
        assert first_new.format.components[0].bits == first_old.format.components[0].bits
    assert list(outbox.iterdir()) == [output]


def test_audio_packets_are_copied_byte_for_byte(broker: Broker, tmp_path: Path, outbox: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", audio="aac")
    _upscale(broker, source, outbox / "out.mp4")
    assert _audio(outbox / "out.mp4") == _audio(source)


def _audio(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_cut_off_file_ends_typed_or_with_what_could_be_decoded(broker: Broker, tmp_path: Path, outbox: Path) -> None:
    source = clips.make_truncated(tmp_path / "in.mp4", keep=0.6, faststart=True)
    try:
        result = _upscale(broker, source, outbox / "out.mp4")
    except JobFailedError as failure:
        assert failure.error.code is ErrorCode.MEDIA_CORRUPT
        assert _nothing_left(outbox)
    else:
        assert result.frame_count == len(_timestamps(source))


def test_output_folder_that_is_missing_is_denied_before_any_work(broker: Broker, tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    assert _code_of(broker, source, tmp_path / "nowhere" / "out.mp4") is ErrorCode.OUTPUT_DENIED
    assert not (tmp_path / "nowhere").exists()


def test_output_folder_that_cannot_be_written_is_denied(broker: Broker, tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    # Not even root can write here, so the test means the same for every user.
    unwritable = next(each for each in (Path("/proc"), Path("/System")) if each.is_dir())
    assert _code_of(broker, source, unwritable / "out.mp4") is ErrorCode.OUTPUT_DENIED


def test_existing_output_is_refused_and_kept_unless_told_to_overwrite(
    broker: Broker, tmp_path: Path, outbox: Path
) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    output = outbox / "out.mp4"
    output.write_bytes(b"precious")
    assert _code_of(broker, source, output) is ErrorCode.OUTPUT_EXISTS
    assert output.read_bytes() == b"precious"
    assert _upscale(broker, source, output, overwrite=True).outputs[0].size_bytes == output.stat().st_size


def test_source_reached_by_another_name_is_never_the_output(broker: Broker, tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    before = source.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    assert _code_of(broker, source, link, overwrite=True) in {ErrorCode.INVALID_SPEC, ErrorCode.OUTPUT_DENIED}
    assert source.read_bytes() == before


def test_two_jobs_to_one_output_end_as_one_video_and_one_typed_failure(
    broker: Broker, tmp_path: Path, outbox: Path
) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=60)
    spec = SuperResolution(input=str(source), output=str(outbox / "out.mp4"))
    first, second = broker.submit(spec), broker.submit(spec)
    broker.wait([first, second], timeout=_LIMIT_S)
    assert first.result().frame_count == 60
    failure = second.exception()
    assert failure is not None
    assert failure.error.code is ErrorCode.OUTPUT_EXISTS


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"scale": 3}, "scale"),
        ({"sclae": 2}, "sclae"),
        ({"model": "../evil"}, "model"),
        ({"output": "in.mp4"}, "output"),
    ],
)
def test_wrong_request_names_its_field_and_stores_nothing(broker: Broker, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidJobError, match=named):
        JobSpec.parse({"kind": "super_resolution", "input": "in.mp4", "output": "out.mp4", **fields})
    assert list(broker.list()) == []


def test_unknown_model_is_refused_before_anything_starts(broker: Broker, tmp_path: Path, outbox: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4")
    with pytest.raises(UnsupportedError, match="fast"):
        _upscale(broker, source, outbox / "out.mp4", model="nonesuch")
    assert not list(broker.list())
    assert _nothing_left(outbox)
