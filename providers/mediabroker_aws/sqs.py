"""SQS as a source of messages: `sqs://queue-name`, `sqs://account-id/queue-name`, or a queue's whole URL.

Facts: a receive hands out at most 10 messages; a batch delete answers 200 with failures inside; deleting with an old
receipt succeeds and deletes nothing; a deleted message may come again.
Source: Amazon SQS API Reference, `ReceiveMessage`, `DeleteMessageBatch`, `ChangeMessageVisibilityBatch`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mediabroker.errors import ConfigurationError
from mediabroker.messages import InboundMessage
from mediabroker.models import build_settings
from mediabroker_aws.clients import AwsClient
from mediabroker_aws.settings import SqsSettings

__all__ = ["SqsSource"]

_log = logging.getLogger(__name__)

_BATCH = 10
_DELETE_ATTEMPTS = 3
_VISIBILITY_CAP_S = 43_200
_OVER_LONG_POLL_S = 5.0
_NAME = r"[A-Za-z0-9_-]{1,80}(?:\.fifo)?"
_FORMS = re.compile(
    rf"sqs://(?:(?:(?P<account>\d{{12}})/)?(?P<name>{_NAME})|(?P<host>[A-Za-z0-9.:-]+)/(?P<owner>\d{{12}})/(?P<queue>{_NAME}))"
)
_REGION = re.compile(r"(?:sqs\.|queue\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.")


class SqsSource:
    """An `EventSource`; see there. The queue is looked for when it is first used.

    Raises:
        ConfigurationError: the URL has none of the forms, or a setting is wrong.
    """

    def __init__(self, url: str, settings: Mapping[str, Any]) -> None:
        self.url = url
        self._form = _FORMS.fullmatch(url)
        if self._form is None:
            raise ConfigurationError(
                f"source {url!r}: write sqs://queue-name, sqs://account-id/queue-name or sqs://host/account-id/queue-name"
            )
        built = build_settings(SqsSettings, "sources.sqs", settings)
        region = _REGION.match(self._form["host"] or "")
        self._settings = built.model_copy(
            update={
                "region": built.region or (region[1] if region else None),
                # A poll that hangs must end by itself, soon after the service should have answered.
                "read_timeout_s": built.long_poll_s + _OVER_LONG_POLL_S,
            }
        )
        self._client = AwsClient("sqs", self._settings)
        self._queue_url: str | None = None

    def receive(self, *, wait_s: float) -> list[InboundMessage]:
        answer = self._client.call(
            "receive_message",
            QueueUrl=self._queue(),
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=min(int(wait_s), self._settings.long_poll_s),
            VisibilityTimeout=self._settings.visibility_s,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [self._message(each) for each in answer.get("Messages", ())]

    def _message(self, given: Mapping[str, Any]) -> InboundMessage:
        system = given.get("Attributes", {})
        own = given.get("MessageAttributes", {})
        return InboundMessage(
            body=str(given["Body"]).encode("utf-8", "surrogatepass"),
            source=self.url,
            id=given["MessageId"],
            receipt=given["ReceiptHandle"],
            attributes={**system, **{name: each["StringValue"] for name, each in own.items() if "StringValue" in each}},
            receive_count=int(system.get("ApproximateReceiveCount", 1)),
        )

    def delete(self, messages: Sequence[InboundMessage]) -> list[InboundMessage]:
        """See `EventSource.delete`. Entries that failed through no fault of ours are tried three times."""
        stuck: list[InboundMessage] = []
        for batch in _batches(messages):
            left = list(batch)
            for _ in range(_DELETE_ATTEMPTS):
                answer = self._client.call(
                    "delete_message_batch",
                    QueueUrl=self._queue(),
                    Entries=[{"Id": str(n), "ReceiptHandle": each.receipt} for n, each in enumerate(left)],
                )
                failed = answer.get("Failed", ())
                stuck += [left[int(each["Id"])] for each in failed if each.get("SenderFault")]
                left = [left[int(each["Id"])] for each in failed if not each.get("SenderFault")]
                if not left:
                    break
            stuck += left
        return stuck

    def release(self, messages: Sequence[InboundMessage], *, delay_s: float = 0.0) -> None:
        """See `EventSource.release`. What cannot be released comes again by itself, a little later."""
        hidden_s = min(math.ceil(delay_s), _VISIBILITY_CAP_S)
        for batch in _batches(messages):
            answer = self._client.call(
                "change_message_visibility_batch",
                QueueUrl=self._queue(),
                Entries=[
                    {"Id": str(n), "ReceiptHandle": each.receipt, "VisibilityTimeout": hidden_s}
                    for n, each in enumerate(batch)
                ],
            )
            for each in answer.get("Failed", ()):
                _log.info(
                    "a message could not be released (queue %s, code %s)",
                    self.url,
                    each.get("Code"),
                    extra={"queue": self.url, "code": each.get("Code")},
                )

    def close(self) -> None:
        self._client.close()

    def _queue(self) -> str:
        if self._queue_url is None:
            self._queue_url = self._find_queue()
        return self._queue_url

    def _find_queue(self) -> str:
        form = self._form
        assert form is not None
        if form["host"]:
            return f"https://{form['host']}/{form['owner']}/{form['queue']}"
        owner = {"QueueOwnerAWSAccountId": form["account"]} if form["account"] else {}
        answer = self._client.call("get_queue_url", QueueName=form["name"], **owner)
        return str(answer["QueueUrl"])


def _batches(messages: Sequence[InboundMessage]) -> list[Sequence[InboundMessage]]:
    return [messages[start : start + _BATCH] for start in range(0, len(messages), _BATCH)]
