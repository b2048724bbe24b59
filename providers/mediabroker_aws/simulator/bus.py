"""Carries events of the simulators into an SQS queue, as an EventBridge rule would: the body is the event itself.

Source: Amazon EventBridge User Guide, "Amazon SQS queues as targets".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["EventBus"]

_log = logging.getLogger(__name__)


class EventBus:
    """Sends in a thread of its own, in order, so that no simulator waits for a queue.

    Args:
        client: of SQS, this bus's own from now on.
        statuses: the states of jobs that the rule lets through.
    """

    def __init__(self, client: Any, queue_url: str, statuses: Collection[str]) -> None:
        self._client, self._queue_url, self._statuses = client, queue_url, statuses
        self._waiting: SimpleQueue[Mapping[str, Any] | None] = SimpleQueue()
        self._thread = Thread(target=self._send_all, name="event-bus", daemon=True)
        self._thread.start()

    def put(self, event: Mapping[str, Any]) -> None:
        """Take one event of Batch in its envelope."""
        if event["detail"]["status"] in self._statuses:
            self._waiting.put(event)

    def put_record(self, record: Mapping[str, Any]) -> None:
        """Take what Lambda tells a function's destination."""
        self._waiting.put(record)

    def close(self) -> None:
        """Send what is waiting, and end."""
        self._waiting.put(None)
        self._thread.join()
        self._client.close()

    def _send_all(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                self._client.send_message(QueueUrl=self._queue_url, MessageBody=json.dumps(event))
            except (BotoCoreError, ClientError) as error:
                _log.warning("a message is lost: %s", error)
