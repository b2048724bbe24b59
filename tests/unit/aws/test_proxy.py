"""Requests from API Gateway: read as they come, refused with a sentence."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker_aws.functions.proxy import RefusedError, is_proxy_event, parse_event, respond


def event(body: str | None, **more: Any) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "path": "/a",
        "headers": {"X-Api-Key": "k"},
        "requestContext": {"requestId": "r"},
        "body": body,
        **more,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON), st.booleans())
def test_a_json_object_arrives_whatever_it_is_encoded_in(content: dict[str, Any], encoded: bool) -> None:
    body = json.dumps(content)
    sent = base64.b64encode(body.encode()).decode() if encoded else body
    assert parse_event(event(sent, isBase64Encoded=encoded)).fields() == content


@given(st.text())
def test_any_other_text_is_refused_with_a_400(body: str) -> None:
    try:
        assert isinstance(json.loads(body), dict)
    except (ValueError, AssertionError):
        with pytest.raises(RefusedError, match="body") as refusal:
            parse_event(event(body)).fields()
        assert refusal.value.status == 400


@pytest.mark.parametrize("body", [None, "", "[]", "null", "{", "[" * 100_000])
def test_a_body_without_an_object_is_refused(body: str | None) -> None:
    with pytest.raises(RefusedError, match="the body is"):
        parse_event(event(body)).fields()


def test_a_body_that_is_not_in_its_encoding_is_refused() -> None:
    with pytest.raises(RefusedError, match="cannot be decoded"):
        parse_event(event("?", isBase64Encoded=True))


def test_header_names_are_lower_case_and_absent_parts_are_empty() -> None:
    request = parse_event(event("{}", pathParameters=None, queryStringParameters=None))
    assert request.headers == {"x-api-key": "k"}
    assert (request.parameters, request.query, request.request_id) == ({}, {}, "r")


def test_a_direct_invocation_is_no_request_of_the_gateway() -> None:
    assert is_proxy_event(event("{}"))
    assert not is_proxy_event({"bucket": "b", "src": "a.mp4"})
    assert not is_proxy_event(None)


def test_an_answer_is_json_in_a_string() -> None:
    answer = respond(202, {"ä": 1}, Retry_After="3")
    assert (answer["statusCode"], json.loads(str(answer["body"]))) == (202, {"ä": 1})
    assert answer["headers"] == {"Content-Type": "application/json", "Retry-After": "3"}


def test_a_refusal_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(RefusedError(404, "no such bucket")))
    assert (again.status, again.message) == (404, "no such bucket")


@pytest.mark.parametrize(
    ("resource", "path", "whole", "expected"),
    [
        ("/", "/", "/prod", ("/", "/prod")),
        ("/", "/", "/prod/", ("/", "/prod")),
        ("/jobs/{id}", "/jobs/a", "/prod/jobs/a", ("/jobs/a", "/prod")),
        ("/{proxy+}", "/jobs/a", "/prod/jobs/a", ("/jobs/a", "/prod")),
        ("/jobs/{id}", "/video/jobs/a", "/video/jobs/a", ("/jobs/a", "/video")),
        (None, "/jobs/a", "/jobs/a", ("/jobs/a", "")),
    ],
    ids=["stage", "slash", "resource", "proxy", "own-domain", "no-resource"],
)
def test_the_path_is_the_apis_and_the_base_what_clients_put_before_it(
    resource: str | None, path: str, whole: str, expected: tuple[str, str]
) -> None:
    parameters = {"id": "a", "proxy": "jobs/a"}
    context = {"requestContext": {"path": whole, "accountId": "123456789012"}}
    request = parse_event(event("{}", resource=resource, path=path, pathParameters=parameters, **context))
    assert (request.path, request.base) == expected
    assert request.account == "123456789012"


@pytest.mark.parametrize(
    ("identity", "caller"),
    [
        ({"apiKeyId": "k-1", "userArn": "arn:aws:iam::1:user/a"}, "k-1"),
        ({"userArn": "arn:aws:iam::1:user/a"}, "arn:aws:iam::1:user/a"),
        ({"userArn": "arn:aws:sts::1:assumed-role/r/session-7"}, "arn:aws:sts::1:assumed-role/r"),
        ({}, "anonymous"),
    ],
)
def test_a_caller_is_the_same_in_every_session(identity: dict[str, str], caller: str) -> None:
    assert parse_event(event("{}", requestContext={"identity": identity})).caller == caller
