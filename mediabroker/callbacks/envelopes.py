"""The wrappings in which vendors' queues deliver a message, and how each is taken off: pure functions.

An envelope that brings text of its own, such as SNS's `Message`, is opened again, so that wrappings nest. A service's
own message, such as an EventBridge event, is no wrapping. The vendors' packages offer theirs in the entry-point group
`mediabroker.envelopes`; Base64 is known to every queue.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from pydantic import JsonValue

from mediabroker.callbacks.strict import SIZE_LIMIT_BYTES, PoisonError, load_strictly
from mediabroker.markup import MarkupError
from mediabroker.messages import ENVELOPE_GROUP, Envelope, Letter
from mediabroker.plugins import load_plugin, offered

__all__ = ["Opened", "open_envelopes"]

_WRAPPINGS_LIMIT = 3


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
    """Return what is inside a wrapping that is no JSON itself."""
    for each in _known() if len(body) <= SIZE_LIMIT_BYTES else ():
        try:
            letter = each.unpack(body.strip()) if each.unpack is not None else None
        except MarkupError as error:
            raise PoisonError(f"the message is not JSON, and as XML: {error}") from None
        if letter is not None:
            return each.name, letter
    return "", None


def _opened(value: Mapping[str, JsonValue]) -> tuple[str, Letter | None]:
    """Return what is inside a JSON object, or else the name of the form that it has itself."""
    for each in _known():
        if each.open is not None and (letter := each.open(value)) is not None:
            return each.name, letter
    return next((each.name for each in _known() if each.is_form is not None and each.is_form(value)), ""), None


def _unpack_base64(body: bytes) -> Letter | None:
    """No JSON object is strict Base64, whose alphabet has no brace; some other JSON is, and stays what it is."""
    try:
        inner = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None
    return Letter(inner, {}) if inner.lstrip()[:1] in (b"{", b"<") else None


@cache
def _known() -> tuple[Envelope, ...]:
    what = "message envelope"
    installed = (
        load_plugin(ENVELOPE_GROUP, each, what=what, where=each) for each in sorted(offered(ENVELOPE_GROUP, what))
    )
    return (Envelope("base64", unpack=_unpack_base64), *(each for offer in installed for each in offer))
