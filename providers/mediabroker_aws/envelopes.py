"""How AWS wraps messages in queues: SNS notifications, EventBridge events, Lambda's invocation records."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from mediabroker.messages import Envelope, Letter

__all__ = ["ENVELOPES"]


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


def _is_eventbridge(value: Mapping[str, JsonValue]) -> bool:
    """Source: Amazon EventBridge User Guide, "AWS service event metadata"."""
    return isinstance(value.get("detail-type"), str) and isinstance(value.get("source"), str) and "detail" in value


def _is_lambda_destination(value: Mapping[str, JsonValue]) -> bool:
    """Source: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations"."""
    context = value.get("requestContext")
    return isinstance(context, dict) and "condition" in context


ENVELOPES = (
    Envelope("sns", open=_open_sns),
    Envelope("eventbridge", is_form=_is_eventbridge),
    Envelope("lambda-destination", is_form=_is_lambda_destination),
)
