"""A Lambda function behind an SQS trigger: take the batch in, ask for its jobs, run the handlers, name what failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mediabroker.broker.core import Core
from mediabroker.broker.events.feed import Feed
from mediabroker.broker.events.handlers import Handlers
from mediabroker.broker.events.ingesting import ingest, look
from mediabroker.broker.following.watching import Watcher
from mediabroker.errors import InvalidJobError
from mediabroker.messages import InboundMessage

__all__ = ["TriggerHandler", "make_trigger"]

TriggerHandler = Callable[[Mapping[str, Any], Any], dict[str, list[dict[str, str]]]]

_SPARE_MS = 5_000
"""What is left of a function's time when no further handler is begun."""


def make_trigger(core: Core, watcher: Watcher, handlers: Handlers, consumer: str) -> TriggerHandler:
    """The function for AWS Lambda. Its event source mapping needs `ReportBatchItemFailures`.

    A message that fails is named in `batchItemFailures` and comes again; the others are deleted by Lambda. Events that
    are not handled in the function's time stay in the store, for the next call.
    Source: AWS Lambda Developer Guide, "Handling errors for an SQS event source in Lambda".
    """

    def handle(event: Mapping[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
        messages = [_message(record) for record in _records(event)]
        outcomes = ingest(core, messages)
        look(core, [job_id for outcome in outcomes for job_id in outcome.jobs])
        _drain(Feed(core, watcher, (), consumer), handlers, context)
        again = [message.id for message, outcome in zip(messages, outcomes, strict=True) if not outcome.settled]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in again]}

    return handle


def _drain(feed: Feed, handlers: Handlers, context: Any) -> None:
    feed.register()
    left_ms = getattr(context, "get_remaining_time_in_millis", None)
    while left_ms is None or left_ms() > _SPARE_MS:
        delivery = feed.claim()
        if delivery is None:
            return
        handlers.deliver(feed, delivery)


def _records(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    records = event.get("Records")
    if not isinstance(records, list) or any("messageId" not in each or "body" not in each for each in records):
        raise InvalidJobError("this is no event of an SQS trigger: it has no Records with messageId and body")
    return records


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
