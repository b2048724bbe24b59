"""A client of MNS, Alibaba Cloud's message service: small, thread-safe, bounded in time and size.

    with MnsClient("https://1234.mns.cn-shanghai.aliyuncs.com") as mns:
        mns.send("jobs", "hello")
        messages = mns.receive("jobs", wait_s=20)
        mns.delete("jobs", [each.receipt for each in messages])

The vendor's SDK is no base for a library: it is not thread-safe, has no timeout over HTTPS and sends a message again,
blindly, when a connection breaks.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from typing_extensions import Self

from mediabroker.errors import ConfigurationError, SubmissionUnknownError, UnavailableError
from mediabroker_alibaba.credentials import Credentials, find_credentials
from mediabroker_alibaba.documents import Tree
from mediabroker_alibaba.mns.errors import translate
from mediabroker_alibaba.mns.http import Answer, MnsConnection
from mediabroker_alibaba.mns.wire import (
    QueueMessage,
    Refusal,
    Sent,
    WireError,
    build_document,
    parse_messages,
    parse_record,
    parse_sent,
)

__all__ = ["BATCH_LIMIT", "MnsClient"]

_log = logging.getLogger(__name__)

BATCH_LIMIT = 16
"""Messages in one call at most. Source: MNS, API reference, `BatchReceiveMessage`."""
_ANSWER_S = 5.0
_EMPTY = "MessageNotExist"
_AS_IT_IS = "+/=-_.~:@!$'()*,;"
"""Of a receipt in a target: whether the service would take these escaped is documented nowhere."""

T = TypeVar("T")


class MnsClient:
    """One account in one region. Thread-safe. Every method raises a `ProviderError` when the queue cannot be asked.

    Args:
        endpoint: `https://<account>.mns.<region>.aliyuncs.com`, or a simulator's.
        credentials: called before the first request, and again when the service says that they have expired.
        read_timeout_s: how long an answer may take, beyond what a long poll was told to wait.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Callable[[], Credentials] = find_credentials,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = _ANSWER_S,
    ) -> None:
        if not endpoint.startswith(("https://", "http://")):
            raise ConfigurationError(f"endpoint: {endpoint!r} is no http:// or https:// URL")
        self.endpoint = endpoint.rstrip("/")
        self._connection = MnsConnection(
            self.endpoint, credentials, connect_timeout_s=connect_timeout_s, read_timeout_s=read_timeout_s
        )

    def __repr__(self) -> str:
        return f"<MnsClient {self.endpoint}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._connection.close()

    def receive(self, queue: str, *, count: int = BATCH_LIMIT, wait_s: int = 0) -> list[QueueMessage]:
        """Up to `count` messages, hidden from others for the queue's visibility time; none is no error.

        Args:
            count: 1 to 16.
            wait_s: how long the service may wait for the first one, 0 to 30.
        """
        target = f"{_messages_of(queue)}?numOfMessages={count}&waitseconds={wait_s}"
        answer = self._connection.call("ReceiveMessage", "GET", target, over_s=wait_s)
        return [each for each in _listed("ReceiveMessage", queue, answer) if _is_whole(each, queue)]

    def peek(self, queue: str, *, count: int = 1) -> list[QueueMessage]:
        """Up to `count` messages that a receive would give, left where they are."""
        answer = self._connection.call(
            "PeekMessage", "GET", f"{_messages_of(queue)}?peekonly=true&numOfMessages={count}"
        )
        return _listed("PeekMessage", queue, answer)

    def delete(self, queue: str, receipts: Sequence[str]) -> list[Refusal]:
        """Remove up to 16 deliveries for good; those that were refused, with their receipts and reasons."""
        if not receipts:
            return []
        document = build_document("ReceiptHandles", {"ReceiptHandle": list(receipts)})
        answer = self._connection.call("BatchDeleteMessage", "DELETE", _messages_of(queue), document)
        if answer.refusal and answer.refusal.receipt is not None:
            return list(answer.refusals)
        _expect("BatchDeleteMessage", queue, answer, 204)
        return []

    def change_visibility(self, queue: str, receipt: str, visibility_s: int) -> str:
        """Hide a received message for 1 to 43,200 seconds from now on; its new receipt, for the old one is void."""
        handle = quote(receipt, safe=_AS_IT_IS)
        target = f"{_messages_of(queue)}?ReceiptHandle={handle}&VisibilityTimeout={visibility_s}"
        answer = self._connection.call("ChangeMessageVisibility", "PUT", target)
        _expect("ChangeMessageVisibility", queue, answer, 200)
        changed = _read("ChangeMessageVisibility", answer, lambda body: parse_record(body, "ChangeVisibility"))
        return changed.get("ReceiptHandle", "")

    def send(self, queue: str, body: str, *, delay_s: int = 0, priority: int = 8) -> Sent:
        """Put a message in; `body` is sent as it is.

        Args:
            delay_s: for how long it stays hidden, 0 to 604,800.
            priority: 1, the highest, to 16.

        Raises:
            SubmissionUnknownError: whether it was taken is not known; sending it again may double it.
        """
        document = build_document("Message", _entry(body, delay_s, priority))
        (outcome,) = self._send("SendMessage", queue, document)
        if isinstance(outcome, Refusal):
            raise translate("SendMessage", 400, outcome, queue=queue)
        return outcome

    def send_batch(self, queue: str, bodies: Sequence[str], *, delay_s: int = 0) -> list[Sent | Refusal]:
        """Put up to 16 messages in, 64 KiB in all; what became of each, in their order.

        Raises:
            SubmissionUnknownError: whether they were taken is not known.
        """
        entries = [_entry(body, delay_s, 8) for body in bodies]
        return self._send("BatchSendMessage", queue, build_document("Messages", {"Message": entries}))

    def _send(self, operation: str, queue: str, document: bytes) -> list[Sent | Refusal]:
        answer = self._connection.call(operation, "POST", _messages_of(queue), document, creates=True)
        try:
            if not answer.refusals:
                return parse_sent(answer.body)  # a batch that failed in part has an error's status, too
        except WireError as error:
            if answer.status < 300:
                raise SubmissionUnknownError(f"{operation}: {error}", provider="mns", operation=operation) from error
        raise translate(operation, answer.status, answer.refusal, queue=queue, creates=True)

    def create_queue(self, queue: str, **attributes: int) -> None:
        """Make a queue; nothing happens when it is there with the same attributes.

        Args:
            attributes: by the service's names, as `VisibilityTimeout=60`.
        """
        document = build_document("Queue", {name: str(value) for name, value in attributes.items()})
        _expect(
            "CreateQueue", queue, self._connection.call("CreateQueue", "PUT", f"/queues/{queue}", document), 201, 204
        )

    def delete_queue(self, queue: str) -> None:
        """Remove a queue with everything in it."""
        _expect("DeleteQueue", queue, self._connection.call("DeleteQueue", "DELETE", f"/queues/{queue}"), 204)

    def queue_attributes(self, queue: str) -> Mapping[str, str]:
        """What the service says of a queue, by its own names, as `ActiveMessages`."""
        answer = self._connection.call("GetQueueAttributes", "GET", f"/queues/{queue}")
        _expect("GetQueueAttributes", queue, answer, 200)
        return _read("GetQueueAttributes", answer, lambda body: parse_record(body, "Queue"))


def _messages_of(queue: str) -> str:
    return f"/queues/{quote(queue, safe='')}/messages"


def _entry(body: str, delay_s: int, priority: int) -> Tree:
    return {"MessageBody": body, "DelaySeconds": str(delay_s), "Priority": str(priority)}


def _expect(operation: str, queue: str, answer: Answer, *statuses: int) -> None:
    if answer.status not in statuses:
        raise translate(operation, answer.status, answer.refusal, queue=queue)


def _listed(operation: str, queue: str, answer: Answer) -> list[QueueMessage]:
    if answer.status == 404 and answer.refusal and answer.refusal.code == _EMPTY:
        return []  # the service's word for a queue without messages
    _expect(operation, queue, answer, 200)
    messages: list[QueueMessage] = []
    for each in _read(operation, answer, parse_messages):
        if isinstance(each, QueueMessage):
            messages.append(each)
        else:
            about = {"queue": queue, "id": each.id, "reason": each.reason}
            _log.warning("a message cannot be read and is left to come again", extra=about)
    return messages


def _read(operation: str, answer: Answer, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(answer.body)
    except WireError as error:
        raise UnavailableError(f"{operation}: {error}", provider="mns", operation=operation) from error


def _is_whole(message: QueueMessage, queue: str) -> bool:
    """Whether the body is the one that was sent; a damaged one is left to come again."""
    digest = hashlib.md5(message.body.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    if digest.upper() == message.body_md5.upper():
        return True
    _log.warning(
        "a message has arrived damaged and is left to come again (queue %s, id %s)",
        queue,
        message.id,
        extra={"queue": queue, "id": message.id},
    )
    return False
