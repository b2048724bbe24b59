from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib.metadata import entry_points
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker import production
from mediabroker.errors import InvalidJobError
from mediabroker.jobs import KIND_GROUP, JobSpec, SmartProduction, build_spec, result_type_of
from mediabroker.production import Box
from mediabroker.results import CoverImage, CoverResult, JobResult, SpeechResult

LEAVES = [each for each in map(production.__dict__.get, production.__all__) if each is not Box]
NEEDED = {
    "cover": {"output": "oss://bucket/c-{sequenceId}.jpg"},
    "async_text_to_speech": {"output": "oss://bucket/speech.{resultType}"},
    "audio_mixing": {"track": "oss://bucket/b.mp3"},
}


def build(cls: Any, **fields: Any) -> JobSpec[Any]:
    usual = {"input": "oss://bucket/a.mp4", "output": "oss://bucket/o.mp4", **NEEDED.get(named(cls), {})}
    return build_spec(cls, {**usual, **fields})


def named(cls: Any) -> str:
    return str(cls.model_fields["kind"].default)


@pytest.mark.parametrize("cls", LEAVES, ids=named)
def test_every_leaf_reads_back_from_its_json(cls: type[SmartProduction[Any]]) -> None:
    spec = build(cls, params={"extra": [1, None]}, user_data={"row": 1})
    twin = JobSpec.parse(json.loads(spec.model_dump_json()))
    assert type(twin) is cls
    assert twin == spec


@pytest.mark.parametrize("cls", LEAVES, ids=named)
def test_every_leaf_is_a_kind_with_a_result_of_its_own(cls: type[SmartProduction[Any]]) -> None:
    assert cls.model_fields["function"].default == named(cls)
    assert result_type_of(named(cls)) is cls.result_type
    assert issubclass(cls.result_type, JobResult)
    assert inspect.getdoc(cls)


def test_every_leaf_is_offered_under_its_kind() -> None:
    ours = {each.name for each in entry_points(group=KIND_GROUP) if each.value.startswith("mediabroker.production:")}
    assert ours == {named(cls) for cls in LEAVES}


def test_a_kind_that_nobody_has_imported_is_found() -> None:
    code = (
        "import sys; from mediabroker.jobs import result_type_of\n"
        "assert 'mediabroker.production' not in sys.modules\n"
        "print(result_type_of('cover').__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "CoverResult"


@pytest.mark.parametrize(
    ("cls", "fields", "complaint"),
    [
        (production.Cover, {"output": "oss://bucket/c.jpg"}, r"output: 'c.jpg' needs \{sequenceId\}"),
        (production.Cover, {"output": "oss://bucket/c-{sequenceID}.jpg"}, r"\{sequenceID\} in .* is no placeholder"),
        (production.VideoClip, {"output": "oss://bucket/{index}.mp4"}, r"\{index\} .* is no placeholder"),
        (production.VideoDelogo, {"boxes": [{"x": 0, "y": 0, "width": 0.1, "height": 0.1}] * 3}, r"boxes: .* 2 items"),
        (production.VideoDelogo, {"boxes": [{"x": 0.5, "y": 0, "width": 0.6, "height": 1}]}, "outside the picture"),
        (production.VideoDetext, {"boxes": [{"x": 0, "y": 0, "width": 0, "height": 1}]}, r"boxes\.0\.width"),
        (production.CaptionExtraction, {"frames_per_s": 1}, "frames_per_s: "),
        (production.CaptionExtraction, {"separate_languages": True}, r"\{resultType\} or \{sequenceId\}"),
        (production.AsyncTextToSpeech, {"output": "oss://bucket/a.mp3"}, r"must end in \.\{resultType\}"),
        (production.AsyncTextToSpeech, {"speech_rate": 501}, "speech_rate: "),
        (production.AudioMixing, {"track": None}, "track: "),
        (production.VideoH2V, {"function": "cover"}, "function: "),
        (SmartProduction, {"kind": "cover", "function": "Cover"}, "is not the kind of SmartProduction"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_field_and_reason(
    cls: Any, fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidJobError, match=complaint):
        build(cls, **fields)


def test_functions_that_write_nothing_need_no_output() -> None:
    for cls in (production.MusicSegmentDetect, production.VideoSplit, production.AudioQualityAssessment):
        assert build(cls, output=None).output is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_box_lies_inside_the_picture_or_is_refused(x: float, y: float, width: float, height: float) -> None:
    try:
        box = Box(x=x, y=y, width=width, height=height)
    except InvalidJobError:
        return
    assert box.x + box.width <= 1 + 1e-6
    assert box.y + box.height <= 1 + 1e-6


def test_a_result_comes_back_as_the_type_of_its_kind() -> None:
    result = CoverResult(covers=(CoverImage(uri="oss://bucket/c-1.jpg", score=8.27, at_s=28.27825),))
    assert result_type_of("cover").model_validate(result.model_dump(mode="json")) == result


def test_speech_is_decoded_on_demand() -> None:
    assert SpeechResult(audio_base64="aGVsbG8=").audio == b"hello"
    assert SpeechResult().audio is None
    with pytest.raises(ValueError, match=r"base64|padding|alphabet"):
        _ = SpeechResult(audio_base64="not base64!").audio
