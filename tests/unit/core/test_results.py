from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import ValidationError

from mediabroker import results
from mediabroker.errors import ErrorCode, JobError
from mediabroker.models import Value
from mediabroker.results import (
    AudioStream,
    Frames,
    ImagesResult,
    Item,
    JobResult,
    MediaDetails,
    MediaInfoResult,
    Output,
    SubtitleStream,
    VideoResult,
    VideoStream,
)

VIDEO = VideoStream(
    index=0, codec="h264", width_px=64, height_px=48, pixel_format="yuv420p", bit_depth=8, frame_rate="25/1"
)
DETAILS = MediaDetails(
    container="mov,mp4",
    size_bytes=1_234,
    duration_s=0.48,
    video=(VIDEO,),
    audio=(AudioStream(index=1, codec="aac", sample_rate_hz=48_000, channels=1),),
    subtitles=(SubtitleStream(index=2, codec="mov_text", language="eng"),),
)
OUTPUT = Output(uri="s3://bucket/o.mp4", size_bytes=9, sha256="0" * 64)
ITEMS = (
    Item(source="s3://bucket/a", outcome="ok", output="s3://bucket/b"),
    Item(source="s3://bucket/c", outcome="failed", error=JobError.of(ErrorCode.MEDIA_CORRUPT, "cut off")),
)
EXAMPLES: list[Value] = [
    JobResult(outputs=(OUTPUT,), items=ITEMS),
    VideoResult(outputs=(OUTPUT,), width_px=128, height_px=96, frame_count=12, frame_rate="25/1", elapsed_s=0.5),
    ImagesResult(outputs=(OUTPUT,), width_px=64, height_px=48),
    MediaInfoResult(media=DETAILS),
    Frames(done=3, total=12, per_second=24.5),
]


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_every_result_reads_back_from_its_json(value: Value) -> None:
    assert type(value).model_validate_json(value.model_dump_json()) == value


@pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)
def test_results_refuse_unknown_fields(value: Value) -> None:
    with pytest.raises(ValidationError, match="hight_px"):
        type(value).model_validate({**value.model_dump(), "hight_px": 1})


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (Frames, {"done": -1}),
        (Frames, {"done": 1, "per_second": float("inf")}),
        (Frames, {"done": 1, "per_second": float("nan")}),
        (Output, {"uri": "s3://bucket/o", "size_bytes": -1}),
        (Output, {"uri": "ftp://host/o"}),
        (Item, {"source": "s3://bucket/o", "outcome": "fine"}),
    ],
)
def test_impossible_values_are_refused(cls: type[Value], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cls.model_validate(fields)


def test_every_public_result_is_a_frozen_value() -> None:
    for name in results.__all__:
        cls = getattr(results, name)
        assert inspect.isclass(cls)
        assert issubclass(cls, Value)
        assert cls.model_config.get("frozen") is True
