"""The wrappings in which vendors' queues deliver a message, and how each is taken off: pure functions.

An envelope that brings text of its own (SNS's `Message`) is opened again, so that wrappings nest. EventBridge's event
is no wrapping: it is what the vendor's service wrote. Producers on MNS send JSON as it is or in Base64; its topics wrap
it in JSON or XML.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pydantic import JsonValue

from mediabroker.callbacks.strict import SIZE_LIMIT_BYTES, PoisonError, load_strictly
from mediabroker.markup import MarkupError, load_markup, local_name

__all__ = ["Letter", "Opened", "open_envelopes"]

_WRAPPINGS_LIMIT = 3


class Letter(NamedTuple):
    """A body that lies inside another one."""

    body: bytes
    attributes: Mapping[str, str]


class Opened(NamedTuple):
    """The innermost message, with the names of the envelopes around it, the outermost first."""

    envelopes: tuple[str, ...]
    message: Mapping[str, JsonValue]
    attributes: Mapping[str, str]


def open_envelopes(body: bytes, attributes: Mapping[str, str]) -> Opened:
    """Take off all wrappings.

    Raises:
        PoisonError: what is inside is not a JSON object, or is wrapped more than three times.
    """
    names: list[str] = []
    letter = Letter(body, attributes)
    while len(names) <= _WRAPPINGS_LIMIT:
        name, inner = _unpacked(letter.body)
        if inner is None:
            value = load_strictly(letter.body)
            if not isinstance(value, dict):
                raise PoisonError(f"the message is a JSON {type(value).__name__}, not an object")
            name, inner = _opened(value)
            if inner is None:
                return Opened((*names, name) if name else tuple(names), value, letter.attributes)
        names.append(name)
        letter = Letter(inner.body, {**letter.attributes, **inner.attributes})
    raise PoisonError(f"the message is wrapped more than {_WRAPPINGS_LIMIT} times")


def _unpacked(body: bytes) -> tuple[str, Letter | None]:
    """What lies in a wrapping that is no JSON itself."""
    for name, unpacker in _UNPACKERS.items():
        if len(body) <= SIZE_LIMIT_BYTES and (letter := unpacker(body.strip())) is not None:
            return name, letter
    return "", None


def _unpack_base64(body: bytes) -> Letter | None:
    """No JSON object is strict Base64, whose alphabet has no brace; some other JSON is, and stays what it is."""
    try:
        inner = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Letter(inner, {}) if inner.lstrip()[:1] in (b"{", b"<") else None


def _unpack_mns_xml(body: bytes) -> Letter | None:
    """Source: MNS, "HttpEndpoint", `NotifyContentFormat` XML."""
    if not body.startswith(b"<"):
        return None
    try:
        root = load_markup(body)
    except MarkupError as error:
        raise PoisonError(f"the message is not JSON, and as XML: {error}") from None
    fields: dict[str, JsonValue] = {local_name(each): each.text or "" for each in root}
    return _open_mns(fields) if local_name(root) == "Notification" else None


def _opened(value: Mapping[str, JsonValue]) -> tuple[str, Letter | None]:
    for name, opener in _OPENERS.items():
        if (letter := opener(value)) is not None:
            return name, letter
    return next((name for name, fits in _FORMS.items() if fits(value)), ""), None


def _open_sns(value: Mapping[str, JsonValue]) -> Letter | None:
    """Source: Amazon SNS Developer Guide, "Parsing Amazon SNS message formats"."""
    text, topic, given = value.get("Message"), value.get("TopicArn"), value.get("MessageAttributes")
    if value.get("Type") != "Notification" or not isinstance(text, str) or not isinstance(topic, str):
        return None
    attributes = {"TopicArn": topic}
    for name, attribute in (given if isinstance(given, dict) else {}).items():
        if isinstance(attribute, dict) and isinstance(said := attribute.get("Value"), str):
            attributes[name] = said
    return Letter(text.encode(), attributes)


def _open_mns(value: Mapping[str, JsonValue]) -> Letter | None:
    """Source: MNS, "HttpEndpoint", `NotifyContentFormat` JSON; keys as in the XML."""
    text, topic = value.get("Message"), value.get("TopicName")
    if not isinstance(text, str) or not isinstance(topic, str) or "SubscriptionName" not in value:
        return None
    known = ("TopicOwner", "TopicName", "SubscriptionName", "MessageTag", "PublishTime")
    return Letter(text.encode("utf-8", "surrogatepass"), {name: str(value[name]) for name in known if name in value})


def _is_eventbridge(value: Mapping[str, JsonValue]) -> bool:
    """Source: Amazon EventBridge User Guide, "AWS service event metadata"."""
    return isinstance(value.get("detail-type"), str) and isinstance(value.get("source"), str) and "detail" in value


def _is_lambda_destination(value: Mapping[str, JsonValue]) -> bool:
    """Source: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"."""
    context = value.get("requestContext")
    return isinstance(context, dict) and "condition" in context


_OPENERS: Mapping[str, Callable[[Mapping[str, JsonValue]], Letter | None]] = {
    "sns": _open_sns,
    "mns-topic": _open_mns,
}
"""Wrappings whose inside is text."""

_UNPACKERS: Mapping[str, Callable[[bytes], Letter | None]] = {"base64": _unpack_base64, "mns-topic": _unpack_mns_xml}
"""Wrappings that are no JSON themselves."""

_FORMS: Mapping[str, Callable[[Mapping[str, JsonValue]], bool]] = {
    "eventbridge": _is_eventbridge,
    "lambda-destination": _is_lambda_destination,
}
"""Forms that a service's own message can have; any other one is raw."""
