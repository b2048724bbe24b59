"""`parse_event`: every envelope comes off, and no bytes of any kind do more than raise `PoisonError`."""

from __future__ import annotations

import base64
import json
import time
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.callbacks import PoisonError, parse_event
from mediabroker.callbacks.strict import DEPTH_LIMIT, SIZE_LIMIT_BYTES
from mediabroker.errors import MediaBrokerError

EVENT = {"version": "0", "source": "aws.batch", "detail-type": "Batch Job State Change", "detail": {"jobId": "j-1"}}


def sns(message: object) -> bytes:
    body = message if isinstance(message, str) else json.dumps(message)
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "m-1",
            "TopicArn": "arn:aws:sns:eu-west-1:1:t",
            "Message": body,
            "MessageAttributes": {"kind": {"Type": "String", "Value": "batch"}},
        },
        indent=2,
    ).encode()


def test_C12_eventbridge_event_is_what_the_service_wrote() -> None:
    notice = parse_event(json.dumps(EVENT))
    assert (notice.message, notice.envelopes) == (EVENT, ("eventbridge",))


def test_C12_sns_wrapping_comes_off_and_leaves_topic_and_attributes() -> None:
    notice = parse_event(sns(EVENT), headers={"SentTimestamp": "1"})
    assert (notice.message, notice.envelopes) == (EVENT, ("sns", "eventbridge"))
    assert notice.attributes == {"SentTimestamp": "1", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "kind": "batch"}


MPS = {"Type": "IProduction", "JobId": "39f8", "State": "Success", "Message": "success", "Details": []}


def mns_topic(message: str, form: str) -> bytes:
    """Composed after MNS, "HttpEndpoint", `NotifyContentFormat`."""
    fields = {"TopicOwner": "1234", "TopicName": "media", "SubscriptionName": "s", "Message": message}
    if form == "json":
        return json.dumps({**fields, "PublishTime": 1449556920975}).encode()
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    return f'<?xml version="1.0"?><Notification xmlns="http://mns.aliyuncs.com/doc/v1/">{inner}</Notification>'.encode()


def encoded(body: bytes | str) -> bytes:
    return base64.b64encode(body.encode() if isinstance(body, str) else body)


def test_mns_messages_are_understood_as_they_are_and_in_base64() -> None:
    assert parse_event(json.dumps(MPS)).envelopes == ()
    for body in (encoded(json.dumps(MPS)), b" " + encoded(" " + json.dumps(MPS)) + b"\n"):
        assert (parse_event(body).message, parse_event(body).envelopes) == (MPS, ("base64",))


@pytest.mark.parametrize("form", ["json", "xml"])
def test_mns_topics_wrappings_come_off_in_every_combination(form: str) -> None:
    notice = parse_event(mns_topic(json.dumps(MPS), form))
    assert (notice.message, notice.envelopes) == (MPS, ("mns-topic",))
    assert notice.attributes["TopicName"] == "media"
    inside = parse_event(mns_topic(encoded(json.dumps(MPS)).decode(), form))
    assert (inside.message, inside.envelopes) == (MPS, ("mns-topic", "base64"))
    around = parse_event(encoded(mns_topic(json.dumps(MPS), form)))
    assert (around.message, around.envelopes) == (MPS, ("base64", "mns-topic"))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"null", "not an object"),  # JSON, and strict Base64 of other bytes as well
        (encoded("hello"), "not JSON"),
        (encoded(json.dumps(MPS))[:-3], "not JSON"),
        (b'<!DOCTYPE a [<!ENTITY e "x">]><Notification>&e;</Notification>', "DTDForbidden"),
        (b"<a>" * 100_000, "nested deeper"),
        (b"<Notification/>", "not JSON"),
        (b"<html></html>", "not JSON"),
        (b"<", "not XML"),
    ],
)
def test_what_only_looks_like_an_mns_message_is_poison(body: bytes, complaint: str) -> None:
    with pytest.raises(PoisonError, match=complaint):
        parse_event(body)


def test_C12_raw_message_and_lambda_destination_stay_as_they_are() -> None:
    raw = {"jobId": "j", "Type": "Report"}
    assert parse_event(json.dumps(raw)) == parse_event(b"\xef\xbb\xbf" + json.dumps(raw).encode())
    assert parse_event(json.dumps(raw)).envelopes == ()
    destination = {"requestContext": {"condition": "Success"}, "responsePayload": {}}
    assert parse_event(json.dumps(destination)).envelopes == ("lambda-destination",)


def test_subscription_offers_are_messages_like_others_and_nothing_is_fetched() -> None:
    offer = {"Type": "SubscriptionConfirmation", "TopicArn": "t", "Message": "m", "SubscribeURL": "http://192.0.2.1/"}
    assert parse_event(json.dumps(offer)).message == offer


def test_wrappings_without_end_are_poison() -> None:
    body = json.dumps(EVENT).encode()
    for _ in range(6):
        body = sns(body.decode())
    with pytest.raises(PoisonError, match="wrapped more than"):
        parse_event(body)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"a":1', "not JSON"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "beyond all bounds"),
        (b'{"a":' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":"\\ud800"}', "UTF-8"),
        (b'{"\\u0000":1}', "NUL"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested"),
        (b" " * (SIZE_LIMIT_BYTES + 1), "more than"),
    ],
)
def test_B1_what_cannot_be_understood_is_poison_with_a_reason(body: bytes, complaint: str) -> None:
    with pytest.raises(PoisonError, match=complaint):
        parse_event(body)


def test_brackets_inside_strings_are_no_nesting_and_an_escaped_backslash_no_nul() -> None:
    text = '{"[[[[' * 40 + '\\" [ \\u0000'
    assert parse_event(json.dumps({"a": text})).message == {"a": text}
    deep = '{"a":' * DEPTH_LIMIT + "1" + "}" * DEPTH_LIMIT
    assert parse_event(deep).message


@pytest.mark.parametrize("body", [b'"' * SIZE_LIMIT_BYTES, b'"\\' * (SIZE_LIMIT_BYTES // 2), b'{"' * 500_000])
def test_X18_hostile_bodies_take_no_longer_than_honest_ones(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(PoisonError):
        parse_event(body)
    assert time.process_time() - began < 1.0


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_B2_any_bytes_are_a_notice_or_poison(body: bytes) -> None:
    try:
        assert isinstance(parse_event(body).message, dict)
    except PoisonError as error:
        assert str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text("abcd", min_size=1), json_values, max_size=4))
def test_any_honest_object_comes_through_unchanged_bare_and_wrapped(message: dict[str, object]) -> None:
    assert parse_event(json.dumps(message)).message == message
    assert parse_event(sns(message)).message == message
    assert parse_event(encoded(json.dumps(message))).message == message
    assert parse_event(mns_topic(json.dumps(message), "xml")).message == message


def test_a_poisonous_message_is_caught_as_any_other_error_of_ours() -> None:
    for kind in (MediaBrokerError, ValueError):
        with pytest.raises(kind):
            parse_event(b"\xff")
