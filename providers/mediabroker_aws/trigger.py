"""A Lambda function behind an SQS trigger whose event source mapping has `ReportBatchItemFailures`.

Source: AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mediabroker.errors import InvalidJobError
from mediabroker.messages import InboundMessage

__all__ = ["SqsTrigger"]

_SPARE_MS = 5_000
"""What is left of a function's time when no further handler is begun."""


class SqsTrigger:
    """A `Trigger`: messages that must come again are named, and Lambda deletes the others."""

    def messages(self, event: Mapping[str, Any]) -> list[InboundMessage]:
        """See `Trigger.messages`."""
        records = event.get("Records")
        if not isinstance(records, list) or any("messageId" not in each or "body" not in each for each in records):
            raise InvalidJobError("this is no event of an SQS trigger: it has no Records with messageId and body")
        return [_message(record) for record in records]

    def answer(self, again: Sequence[InboundMessage]) -> dict[str, Any]:
        """See `Trigger.answer`."""
        return {"batchItemFailures": [{"itemIdentifier": each.id} for each in again]}

    def has_time(self, context: Any) -> bool:
        """See `Trigger.has_time`; without Lambda's context, as in a test, there is no limit."""
        left_ms = getattr(context, "get_remaining_time_in_millis", None)
        return left_ms is None or left_ms() > _SPARE_MS


def _message(record: Mapping[str, Any]) -> InboundMessage:
    system, own = record.get("attributes", {}), record.get("messageAttributes", {})
    values = {name: each["stringValue"] for name, each in own.items() if "stringValue" in each}
    return InboundMessage(
        body=str(record["body"]).encode("utf-8", "surrogatepass"),
        source=str(record.get("eventSourceARN", "")),
        id=str(record["messageId"]),
        receipt=str(record.get("receiptHandle", "")),
        attributes={**system, **values},
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
    )
