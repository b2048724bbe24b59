"""Carries events of the simulators into an SQS queue, as an EventBridge rule would: the body is the event itself.

Source: Amazon EventBridge User Guide, "Amazon SQS queues as targets".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["EventBus"]

_log = logging.getLogger(__name__)

STATUSES = frozenset({"RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"})
"""Batch tells of every change but the first."""


class EventBus:
    """Sends in a thread of its own, in order, so that no simulator waits for a queue.

    Args:
        client: of SQS, this bus's own from now on.
    """

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client, self._queue_url = client, queue_url
        self._waiting: SimpleQueue[Mapping[str, Any] | None] = SimpleQueue()
        self._thread = Thread(target=self._send_all, name="event-bus", daemon=True)
        self._thread.start()

    def put(self, event: Mapping[str, Any]) -> None:
        """Take one event of Batch in its envelope."""
        if event["detail"]["status"] in STATUSES:
            self._waiting.put(event)

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
                _log.warning("an event is lost: %s", error)
