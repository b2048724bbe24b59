"""MNS's XML as values: requests built, answers parsed; pure functions.

Source: MNS, API reference, queue operations, version 2015-06-06; element names as the official SDKs read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mediabroker.markup import MarkupError, load_markup, local_name
from mediabroker_alibaba import documents
from mediabroker_alibaba.documents import Tree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = [
    "ANSWER_LIMIT_BYTES",
    "MNS_NAMESPACE",
    "QueueMessage",
    "Refusal",
    "Sent",
    "Unreadable",
    "WireError",
    "build_document",
    "parse_messages",
    "parse_record",
    "parse_refusals",
    "parse_sent",
]

MNS_NAMESPACE = "http://mns.aliyuncs.com/doc/v1/"

ANSWER_LIMIT_BYTES = 8 << 20
"""Sixteen messages of 64 KiB, every character of which is escaped, as `&quot;`. A batch that is too long to be read
would come again and again."""


class WireError(ValueError):
    """The other side's words are none of the protocol's."""


@dataclass(frozen=True)
class QueueMessage:
    """One delivery. Times are Unix milliseconds; `receipt` is empty for a message that was only looked at."""

    id: str
    body: str
    body_md5: str
    receipt: str = field(default="", repr=False)
    enqueued_ms: int = 0
    next_visible_ms: int = 0
    first_dequeued_ms: int = 0
    dequeue_count: int = 0
    priority: int = 8


@dataclass(frozen=True)
class Unreadable:
    """A delivery that is not of the protocol's form; the others of its batch may be."""

    id: str
    reason: str


@dataclass(frozen=True)
class Sent:
    """A message that was taken; `receipt` only for one that is delayed: it can still be deleted."""

    id: str
    body_md5: str
    receipt: str = field(default="", repr=False)


@dataclass(frozen=True)
class Refusal:
    """An error answer, or one entry of a batch that failed."""

    code: str
    message: str
    request_id: str | None = None
    receipt: str | None = field(default=None, repr=False)


def build_document(root: str, content: Tree) -> bytes:
    """A document in MNS's namespace; raises as `documents.build_document` does."""
    return documents.build_document(root, content, namespace=MNS_NAMESPACE)


def parse_messages(body: bytes) -> list[QueueMessage | Unreadable]:
    """The messages of a receive or a peek, single or batch. Each is read for itself: all of them are leased.

    Raises:
        WireError: not such an answer.
    """
    root = _load(body)
    found = [root] if local_name(root) == "Message" else list(_children(root, "Message", of="Messages"))
    return [_message(_texts(each)) for each in found]


def _message(texts: Mapping[str, str]) -> QueueMessage | Unreadable:
    try:
        return QueueMessage(
            id=texts["MessageId"],
            body=texts["MessageBody"],
            body_md5=texts["MessageBodyMD5"],
            receipt=texts.get("ReceiptHandle", ""),
            enqueued_ms=int(texts["EnqueueTime"]),
            next_visible_ms=int(texts.get("NextVisibleTime", "0")),
            first_dequeued_ms=int(texts.get("FirstDequeueTime", "0")),
            dequeue_count=int(texts["DequeueCount"]),
            priority=int(texts.get("Priority", "8")),
        )
    except KeyError as error:
        return Unreadable(texts.get("MessageId", ""), f"it has no {error.args[0]}")
    except ValueError:
        return Unreadable(texts["MessageId"], "one of its numbers is none")


def parse_record(body: bytes, root: str) -> dict[str, str]:
    """The direct children of a document with that root, by name.

    Raises:
        WireError: not such a document.
    """
    found = _load(body)
    if local_name(found) != root:
        raise WireError(f"an answer <{local_name(found)}> in place of <{root}>")
    return _texts(found)


def parse_sent(body: bytes) -> list[Sent | Refusal]:
    """What became of each message of a send, in their order.

    Raises:
        WireError: not such an answer.
    """
    root = _load(body)
    found = [root] if local_name(root) == "Message" else list(_children(root, "Message", of="Messages"))
    return [_sent(_texts(each)) for each in found]


def _sent(texts: Mapping[str, str]) -> Sent | Refusal:
    if "ErrorCode" in texts:
        return Refusal(texts["ErrorCode"], texts.get("ErrorMessage", ""))
    if "MessageId" not in texts:
        raise WireError("a sent message without MessageId")
    return Sent(texts["MessageId"], texts.get("MessageBodyMD5", ""), texts.get("ReceiptHandle", ""))


def parse_refusals(body: bytes) -> list[Refusal]:
    """The error of an answer, or those of a batch's entries.

    Raises:
        WireError: not an error answer.
    """
    root = _load(body)
    if local_name(root) == "Errors":
        entries = [_texts(each) for each in _children(root, "Error", of="Errors")]
        return [
            Refusal(each["ErrorCode"], each.get("ErrorMessage", ""), receipt=each.get("ReceiptHandle"))
            for each in entries
            if "ErrorCode" in each
        ]
    texts = _texts(root)
    if local_name(root) != "Error" or "Code" not in texts:
        raise WireError("an error answer that is none of the protocol's")
    return [Refusal(texts["Code"], texts.get("Message", ""), texts.get("RequestId"))]


def _load(body: bytes) -> Element:
    try:
        return load_markup(body, limit_bytes=ANSWER_LIMIT_BYTES)
    except MarkupError as error:
        raise WireError(str(error)) from error


def _children(root: Element, name: str, *, of: str) -> Iterable[Element]:
    if local_name(root) != of:
        raise WireError(f"an answer <{local_name(root)}> in place of <{of}>")
    return (each for each in root if local_name(each) == name)


def _texts(element: Element) -> dict[str, str]:
    return {local_name(each): each.text or "" for each in element}
