"""`parse_event`: what a callback says once its envelopes are off. Pure: no I/O, no store, no provider."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from mediabroker.callbacks.envelopes import open_envelopes
from mediabroker.models import Value

__all__ = ["Notice", "parse_event"]


class Notice(Value, frozen=True):
    """A callback in its normal form.

    `message` is what the vendor's service wrote, `envelopes` the names of what was around it (`base64`, `mns-topic`,
    `sns`, `eventbridge`, `lambda-destination`; none for a raw message), `attributes` what the envelopes and the headers
    said beside it.
    """

    message: Mapping[str, JsonValue]
    envelopes: tuple[str, ...] = ()
    attributes: Mapping[str, str] = {}


def parse_event(body: bytes | str, *, headers: Mapping[str, str] | None = None) -> Notice:
    """The normal form of a callback, from a queue or from a web framework's request.

    Nothing in it is believed: give the message to `Broker.ingest`, which asks the vendor.

    Raises:
        PoisonError: it cannot be understood; a `ValueError` whose text quotes nothing of the message.
    """
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    opened = open_envelopes(raw, headers or {})
    return Notice(message=opened.message, envelopes=opened.envelopes, attributes=opened.attributes)
