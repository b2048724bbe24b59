"""What smart production has made, from the vendor's JSON within JSON within JSON to typed results."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.jobs import result_type_of
from mediabroker.refs import MediaURI
from mediabroker.results import (
    CaptionsResult,
    CaptionTrack,
    CoverResult,
    ImagesResult,
    ProductionResult,
    SegmentsResult,
    SpeechResult,
    VideoResult,
)
from mediabroker.states import JobState
from mediabroker_alibaba.catalogue import FUNCTIONS
from mediabroker_alibaba.mps.production_results import build_result, parse_result
from mediabroker_alibaba.mps.requests import read_id
from mediabroker_alibaba.mps.states import observe_production
from tests.unit.alibaba.golden import golden

HOST = "oss://bucket.oss-cn-shanghai.aliyuncs.com"
PATTERN = MediaURI(f"{HOST}/out/x.mp4")


def uris(result: Any) -> list[str]:
    return [str(each.uri).removeprefix(HOST + "/") for each in result.outputs]


def seen(name: str) -> Any:
    return observe_production(golden(name), None).result


def test_the_manuals_answer_to_a_submit_is_read_as_its_job_and_result() -> None:
    answer = golden("submit-iproduction-answer")
    assert read_id("JobId")(answer) == "39f8e0bc005e4f309379701645f4aaaa"
    assert parse_result(answer["Result"])[:2] == ("Success", "Successful.")


def test_the_manuals_answer_to_a_query_is_read_as_a_typed_result() -> None:
    observation = observe_production(golden("query-iproduction-answer"), None)
    assert (observation.state, observation.phase) == (JobState.SUCCEEDED, "Success")
    assert isinstance(observation.result, CoverResult)
    (output,) = observation.result.outputs
    assert (output.uri.bucket, output.uri.key) == ("example-bucket", "iproduction/test-result.jpg")
    assert output.uri.region == "cn-shanghai"


def test_covers_have_score_time_and_place() -> None:
    result = seen("query-cover")
    assert isinstance(result, CoverResult)
    assert [(each.score, each.at_s, each.uri.key) for each in result.covers] == [
        (8.27, 28.27825, "cover/x-00001.jpg"),
        (7.5, 1.0, "cover/x-00002.jpg"),
    ]
    assert uris(result) == ["cover/x-00001.jpg", "cover/x-00002.jpg"]


@pytest.mark.parametrize("name", ["query-music", "query-split"])
def test_segments_are_read_from_both_forms(name: str) -> None:
    result = seen(name)
    assert isinstance(result, SegmentsResult)
    first = result.segments[0]
    assert (first.start_s, first.end_s, first.title) in [(39.32, 63.85, "副歌"), (1.0, 44.57, "Opening")]


def test_captions_know_their_language_from_the_name_that_was_asked_for() -> None:
    result = seen("query-captions")
    assert isinstance(result, CaptionsResult)
    assert result.tracks == (
        CaptionTrack(uri=f"{HOST}/srt/a-zh.srt", language="zh"),
        CaptionTrack(uri=f"{HOST}/srt/a-en.srt", language="en"),
    )


def test_details_name_files_where_there_is_no_data() -> None:
    result = seen("query-matting")
    assert isinstance(result, ImagesResult)
    assert uris(result) == ["production/1-1-seg.jpeg"]


def test_a_result_without_files_means_the_output_that_was_asked_for() -> None:
    result = seen("query-delogo")
    assert isinstance(result, VideoResult)
    assert uris(result) == ["out/x.mp4"]


def test_a_name_with_placeholders_is_announced_only_when_the_answer_fills_it() -> None:
    answer = {**golden("query-delogo"), "Output": f"{HOST}/out/{{timestamp}}.mp4"}
    result = observe_production(answer, None).result
    assert result is not None
    assert result.outputs == ()


def test_speech_comes_with_the_answer() -> None:
    text = json.dumps({"Code": "Success", "Data": json.dumps({"result": [{"file": "aGVsbG8="}]})})
    result = build_result(SpeechResult, parse_result(text), None)
    assert isinstance(result, SpeechResult)
    assert (result.audio, result.outputs) == (b"hello", ())


def test_the_open_form_gets_the_vendors_own_values() -> None:
    answer = {**golden("query-music"), "FunctionName": "FromTheFuture"}
    result = observe_production(answer, None).result
    assert isinstance(result, ProductionResult)
    assert result.data == {"result": golden_data("query-music")["result"]}


def golden_data(name: str) -> Any:
    return json.loads(json.loads(golden(name)["Result"])["Data"])


def test_a_failure_tells_code_and_message() -> None:
    text = json.dumps({"Code": "InvalidParameter.ResourceNotFound", "Message": "no such object"})
    observation = observe_production({**golden("query-cover"), "State": "Fail", "Result": text}, None)
    assert observation.state is JobState.FAILED
    assert observation.error is not None
    assert (observation.error.code, observation.error.blame) == ("INPUT_NOT_FOUND", "caller")
    assert observation.error.provider_code == "InvalidParameter.ResourceNotFound"
    assert "no such object" in observation.error.message


@pytest.mark.parametrize("text", [None, "", "not JSON", "[", "null", "3", '{"Data": "not JSON"}', '{"Data": null}'])
def test_a_result_that_is_not_json_still_ends_the_job(text: str | None) -> None:
    observation = observe_production({**golden("query-cover"), "Result": text}, None)
    assert observation.state is JobState.SUCCEEDED
    assert observation.raw is not None


def test_a_state_that_no_table_lists_keeps_the_state_and_is_shown() -> None:
    observation = observe_production({**golden("query-cover"), "State": "Pondering"}, None)
    assert (observation.state, observation.phase, observation.result) == (None, "Pondering", None)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["result", "file", "Url", "Time", "Score", "start", "end", "Details"]), inner)
    ),
    max_leaves=8,
)


@given(_JSON, st.booleans(), st.sampled_from([each.kind for each in FUNCTIONS]))
def test_no_data_makes_reading_raise(data: Any, as_text: bool, kind: str) -> None:
    text = json.dumps({"Code": "Success", "Data": json.dumps(data) if as_text else data})
    result = build_result(result_type_of(kind), parse_result(text), PATTERN)
    assert type(result) is result_type_of(kind)
