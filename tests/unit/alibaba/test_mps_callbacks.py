"""MPS's messages and user data: lenient reading, and no word that is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.jobs import MediaInfo
from mediabroker.refs import MediaURI
from mediabroker.spi import Observation, SubmitContext
from mediabroker_alibaba.mps.callbacks import parse_message
from mediabroker_alibaba.user_data import build_user_data, parse_user_data
from tests.unit.alibaba.golden import golden

MESSAGES: list[dict[str, Any]] = golden("callbacks")
JOB_ID = "39f8e0bc005e4f309379701645f4aaaa"
SPEC = MediaInfo(input="oss://bucket/a.mp4", user_data={"row": 1})
CONTEXT = SubmitContext(job_id="job", attempt=2, token="token", input=SPEC.input)
TEXT = build_user_data(SPEC, CONTEXT, limit_bytes=1024, step="media_info")


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: "-".join(map(str, each.values()))[:40])
def test_every_documented_form_points_to_its_job_and_decides_nothing(message: dict[str, Any]) -> None:
    (seen,) = parse_message(message) or []
    assert seen.native_id == JOB_ID
    assert seen.state is None
    assert (seen.token, seen.origin) == (None, None)


@pytest.mark.parametrize("name", ["UserData", "userData", "USERDATA"])
def test_our_token_is_found_in_either_capitalisation(name: str) -> None:
    (seen,) = parse_message({"type": "Transcode", "jobId": JOB_ID, name: TEXT}) or []
    assert seen.token == "token"
    assert seen.origin is not None
    assert (seen.origin.job_id, seen.origin.attempt, seen.origin.user_data) == ("job", 2, {"row": 1})


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"JobId": JOB_ID, "State": "Success"},
        {"Type": "Start", "MediaWorkflowExecution": {}},
        {"Type": "Analysis", "JobId": JOB_ID},
        {"Type": 3, "JobId": JOB_ID},
        {"Type": "Transcode", "JobId": ""},
        {"Type": "Transcode", "JobId": "../../etc"},
        {"Type": "Transcode", "JobId": "x" * 100},
        {"Type": "Transcode", "JobId": [JOB_ID]},
    ],
)
def test_messages_of_other_types_and_without_an_id_are_not_ours(message: dict[str, Any]) -> None:
    assert parse_message(message) is None


def test_a_state_with_a_typing_error_is_only_shown() -> None:
    (seen,) = parse_message(MESSAGES[2]) or []
    assert (seen.phase, seen.state) == ("Succes", None)


@given(
    st.dictionaries(
        st.sampled_from(["Type", "type", "JobId", "jobId", "State", "UserData", "userData", "Code"]),
        st.one_of(st.none(), st.integers(), st.text(), st.just("Transcode"), st.just(JOB_ID), st.just(TEXT)),
    )
)
def test_no_message_makes_parsing_raise(message: dict[str, Any]) -> None:
    parsed = parse_message(message)
    assert parsed is None or all(isinstance(each, Observation) for each in parsed)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "testuser",
        "{",
        '{"mediabroker":1}',
        TEXT.replace('"mediabroker":1', '"mediabroker":2'),
        TEXT.replace('"job":"job"', '"job":""'),
        TEXT.replace('"token":"token"', '"token":7'),
        TEXT[:-1] + ',"more":1}',
        '{"mediabroker":' + "[" * 5000,
    ],
)
def test_user_data_of_others_and_of_later_releases_is_not_ours(text: str | None) -> None:
    assert parse_user_data(text) is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_user_data_comes_back_as_it_was(value: Any) -> None:
    spec = SPEC.model_copy(update={"user_data": value})
    tag = parse_user_data(build_user_data(spec, CONTEXT, limit_bytes=1 << 20, step="s"))
    assert tag is not None
    assert json.dumps(tag.user_data) == json.dumps(value)


def test_a_hand_off_travels_along_as_far_as_it_fits() -> None:
    staged = CONTEXT.model_copy(
        update={"output": MediaURI("oss://stage/a.json"), "deliver_to": MediaURI("s3://bucket/a.json")}
    )
    tag = parse_user_data(build_user_data(SPEC, staged, limit_bytes=1024, step="media_info"))
    assert tag is not None
    assert (tag.origin.output, tag.origin.deliver_to) == ("oss://stage/a.json", "s3://bucket/a.json")
    short = parse_user_data(build_user_data(SPEC, staged, limit_bytes=len(TEXT) + 10, step="media_info"))
    assert short is not None
    assert (short.token, short.deliver_to) == ("token", None)
