"""How MNS topics wrap messages: in JSON or in XML."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from mediabroker.markup import load_markup, local_name
from mediabroker.messages import Envelope, Letter

__all__ = ["ENVELOPES"]


def _unpack_xml(body: bytes) -> Letter | None:
    """Source: MNS, "HttpEndpoint", `NotifyContentFormat` XML."""
    if not body.startswith(b"<"):
        return None
    root = load_markup(body)
    fields: dict[str, JsonValue] = {local_name(each): each.text or "" for each in root}
    return _open_json(fields) if local_name(root) == "Notification" else None


def _open_json(value: Mapping[str, JsonValue]) -> Letter | None:
    """Source: MNS, "HttpEndpoint", `NotifyContentFormat` JSON; keys as in the XML."""
    text, topic = value.get("Message"), value.get("TopicName")
    if not isinstance(text, str) or not isinstance(topic, str) or "SubscriptionName" not in value:
        return None
    known = ("TopicOwner", "TopicName", "SubscriptionName", "MessageTag", "PublishTime")
    return Letter(text.encode("utf-8", "surrogatepass"), {name: str(value[name]) for name in known if name in value})


ENVELOPES = (Envelope("mns-topic", unpack=_unpack_xml, open=_open_json),)
