from __future__ import annotations

import json
import pickle
import traceback
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mediabroker.errors import InvalidJobError
from mediabroker.jobs import (
    JobSpec,
    MediaInfo,
    Rendition,
    SmartProduction,
    Snapshot,
    SuperResolution,
    Transcode,
    VideoEncoder,
    build_spec,
    result_type_of,
)
from mediabroker.refs import MediaURI
from mediabroker.results import ImagesResult, JobResult, MediaInfoResult, ProductionResult, VideoResult

EXAMPLES: list[JobSpec[Any]] = [
    SuperResolution(input="s3://bucket/a.mp4", output="oss://bucket/b.mp4", scale=4, labels={"show": "one"}),
    Transcode(
        input="https://host/a.mp4",
        output="s3://bucket/a/master.m3u8",
        container="hls",
        renditions=(Rendition(height_px=360, video_bitrate_bps=800_000),),
        user_data={"row": [1, None, "x"]},
    ),
    Snapshot(input="/tmp/a.mp4", output="/tmp/a-{index}.jpg", at_s=(0, 1.5)),
    MediaInfo(input="/tmp/a.mp4"),
    SmartProduction(input="oss://bucket/a.mp4", output="oss://bucket/c.jpg", function="Cover", params={"n": 3}),
]


@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: spec.kind)
def test_every_kind_reads_back_from_its_json(spec: JobSpec[Any]) -> None:
    twin = JobSpec.parse(json.loads(spec.model_dump_json()))
    assert type(twin) is type(spec)
    assert twin == spec


@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: spec.kind)
def test_every_kind_survives_pickling(spec: JobSpec[Any]) -> None:
    assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize(
    ("cls", "result"),
    [
        (SuperResolution, VideoResult),
        (Transcode, VideoResult),
        (Snapshot, ImagesResult),
        (MediaInfo, MediaInfoResult),
        (SmartProduction, ProductionResult),
    ],
)
def test_a_kind_knows_the_type_of_its_result(cls: type[JobSpec[Any]], result: type[JobResult]) -> None:
    assert cls.result_type is result
    assert result_type_of(cls.model_fields["kind"].default) is result


def test_an_unknown_kind_has_the_common_result() -> None:
    assert result_type_of("from_the_future") is JobResult


@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: spec.kind)
def test_specs_are_frozen(spec: JobSpec[Any]) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec.input = "other"  # type: ignore[assignment]  # the point of the test


@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: spec.kind)
def test_a_misspelt_field_is_refused_by_name(spec: JobSpec[Any]) -> None:
    with pytest.raises(InvalidJobError, match="ouput"):
        JobSpec.parse({**spec.model_dump(mode="json"), "ouput": "/tmp/x"})


@pytest.mark.parametrize("kind", [None, 3, "", "superresolution", ["media_info"]])
def test_an_unknown_kind_is_refused_with_those_that_exist(kind: object) -> None:
    with pytest.raises(InvalidJobError, match="super_resolution"):
        JobSpec.parse({"kind": kind, "input": "a.mp4"})


@pytest.mark.parametrize(
    ("cls", "fields", "complaint"),
    [
        (SuperResolution, {"scale": 3}, r"scale: .*2 or 4.*got 3"),
        (SuperResolution, {"output": "/in.mp4"}, "is also the input"),
        (SuperResolution, {"output": "//in.mp4/../in.mp4"}, "is also the input"),
        (SuperResolution, {"output": None}, "output"),
        (SuperResolution, {"slice_s": 0}, "slice_s: "),
        (SuperResolution, {"slice_s": float("nan")}, "slice_s: "),
        (SuperResolution, {"model": "../../weights"}, "model: "),
        (SuperResolution, {"encoder": {"crf": 18, "bitrate_bps": 100_000}}, "crf or video_bitrate_bps"),
        (SuperResolution, {"encoder": {"crf": 52}}, "encoder.crf: "),
        (SuperResolution, {"labels": {"a": 1}}, "labels.a: "),
        (Transcode, {"container": "mkv"}, "container: "),
        (Transcode, {"container": "hls"}, "m3u8"),
        (Transcode, {"output": "/t.m3u8"}, r"'t\.m3u8' must end in \.mp4.*set container='hls'"),
        (Transcode, {"output": "/t.mkv"}, r"output: 't\.mkv' must end in \.mp4"),
        (Transcode, {"output": "/t.mov"}, r"output: 't\.mov' must end in \.mp4"),
        (Transcode, {"output": "/t.mp4.txt"}, r"must end in \.mp4"),
        (Transcode, {"output": "s3://bucket/noext"}, r"output: 'noext' must end in \.mp4"),
        (Transcode, {"renditions": [{"height_px": 361, "video_bitrate_bps": 500_000}]}, "renditions.0.height_px"),
        (Transcode, {"renditions": [{"height_px": 360, "video_bitrate_bps": 500_000}] * 2}, "equal"),
        (Snapshot, {"output": "/a.png", "at_s": [1, 2]}, "index"),
        (Snapshot, {"output": "/a.bmp"}, "png"),
        (Snapshot, {"output": "/a.png", "at_s": [-1]}, "before the start"),
        (Snapshot, {"output": "/a.png", "at_s": []}, "at_s: "),
        (SmartProduction, {"function": ""}, "function: "),
    ],
)
def test_what_cannot_be_meant_is_refused_with_field_and_reason(
    cls: type[JobSpec[Any]], fields: dict[str, Any], complaint: str
) -> None:
    usual: dict[str, Any] = {"input": "/in.mp4", "output": "/out.mp4"}
    if cls is SmartProduction:
        usual["function"] = "Cover"
    with pytest.raises(InvalidJobError, match=complaint):
        build_spec(cls, {**usual, **fields})


def test_all_findings_are_named_at_once() -> None:
    with pytest.raises(InvalidJobError) as caught:
        build_spec(SuperResolution, {"input": "a.mp4", "scale": 3, "colour": "red"})
    assert all(field in str(caught.value) for field in ("output", "scale", "colour"))


def test_a_long_wrong_value_does_not_flood_the_message() -> None:
    with pytest.raises(InvalidJobError) as caught:
        build_spec(SuperResolution, {"input": "a.mp4", "output": "b.mp4", "scale": "9" * 10_000})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("output", ["/t.mp4", "/T.MP4", "/t.m4v", "s3://bucket/folder/", "/folder/"])
def test_a_transcode_to_mp4_takes_the_names_of_mp4_files_and_folders(output: str) -> None:
    assert build_spec(Transcode, {"input": "/a.mov", "output": output}).output == MediaURI(output)


def test_credentials_in_a_refused_spec_are_in_no_traceback() -> None:
    fields = {"input": "https://user:hunter2@h/a.mp4", "output": "/b.mp4"}
    with pytest.raises(InvalidJobError) as caught:
        build_spec(Transcode, fields)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_mp4_holds_one_rendition() -> None:
    ladder = [{"height_px": height, "video_bitrate_bps": 500_000} for height in (240, 360)]
    with pytest.raises(InvalidJobError, match="hls"):
        build_spec(Transcode, {"input": "/a.mp4", "output": "/b.mp4", "renditions": ladder})


@given(st.floats(0, 51), st.sampled_from(["h264", "h265", "auto"]))
def test_encoders_read_back_as_they_were(crf: float, codec: Literal["h264", "h265", "auto"]) -> None:
    encoder = VideoEncoder(crf=crf, codec=codec)
    assert VideoEncoder.model_validate_json(encoder.model_dump_json()) == encoder


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=8))
def test_user_data_comes_back_untouched(data: Any) -> None:
    spec = MediaInfo(input="/a.mp4", user_data=data)
    assert JobSpec.parse(json.loads(spec.model_dump_json())).user_data == data


class Waveform(JobSpec[ImagesResult], frozen=True):
    """A third party's kind."""

    kind: Literal["test_waveform"] = "test_waveform"
    width_px: int = 640


def test_a_third_partys_kind_is_known_once_its_class_exists() -> None:
    spec = JobSpec.parse({"kind": "test_waveform", "input": "/a.wav", "width_px": 320})
    assert isinstance(spec, Waveform)
    assert spec.width_px == 320
    assert result_type_of("test_waveform") is ImagesResult


class Thumbnail(Snapshot, frozen=True):
    """A typed leaf that shares its parent's kind."""


def test_a_leaf_of_a_known_kind_does_not_take_the_kind_over() -> None:
    spec = JobSpec.parse({"kind": "snapshot", "input": "/a.mp4", "output": "/a.png"})
    assert type(spec) is Snapshot
    assert Thumbnail.result_type is ImagesResult


def test_an_input_that_is_no_uri_is_rejected_in_our_own_words() -> None:
    with pytest.raises(InvalidJobError, match="input: a media URI is a string or a path"):
        MediaInfo(input=3.14)


def test_an_encoder_of_a_stored_job_is_read_under_its_former_name() -> None:
    spec = JobSpec.parse(
        {"kind": "transcode", "input": "/a.mp4", "output": "/b.mp4", "encoder": {"bitrate_bps": 90_000}}
    )
    assert spec.encoder.video_bitrate_bps == 90_000
