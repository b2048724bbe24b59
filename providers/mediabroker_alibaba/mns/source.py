"""MNS as a source of messages, by the queue's URL: `mns://<account>.mns.<region>.aliyuncs.com/queues/<queue>`.

Facts: a receive hands out at most 16 messages, hidden for the queue's own visibility time, which a receive cannot
change; an empty queue is a 404; changing the visibility gives a new receipt; a batch delete that fails in part is an
error that names the entries.
Source: Alibaba Cloud Message Service, API reference, `BatchReceiveMessage`, `BatchDeleteMessage`,
`ChangeMessageVisibility`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mediabroker.errors import ProviderError
from mediabroker.messages import InboundMessage
from mediabroker.models import build_settings
from mediabroker_alibaba.credentials import find_credentials
from mediabroker_alibaba.mns.client import BATCH_LIMIT, MnsClient
from mediabroker_alibaba.mns.url import parse_queue_url
from mediabroker_alibaba.mns.wire import QueueMessage
from mediabroker_alibaba.settings import MnsSettings

__all__ = ["MnsSource"]

_log = logging.getLogger(__name__)

_DELETE_ATTEMPTS = 3
_VISIBILITY_CAP_S = 43_200
_FOR_GOOD = frozenset({"MessageNotExist", "ReceiptHandleError"})
"""Why deleting it again is in vain: its visibility time is over, or somebody else has it."""


class MnsSource:
    """An `EventSource`; see there.

    Raises:
        ConfigurationError: the URL has none of the forms, or a setting is wrong.
    """

    table = "mns"
    """Where its settings are, also for `https://` URLs of queues."""

    def __init__(self, url: str, settings: Mapping[str, Any]) -> None:
        self.url = url
        self._settings = build_settings(MnsSettings, "sources.mns", settings)
        self._address = parse_queue_url(url, endpoint_url=self._settings.endpoint_url)
        self._client = MnsClient(
            self._address.endpoint,
            lambda: find_credentials(self._settings.profile),
            connect_timeout_s=self._settings.connect_timeout_s,
        )

    def receive(self, *, wait_s: float) -> list[InboundMessage]:
        wait = min(int(wait_s), self._settings.long_poll_s)
        return [self._message(each) for each in self._client.receive(self._address.queue, wait_s=wait)]

    def _message(self, given: QueueMessage) -> InboundMessage:
        return InboundMessage(
            body=given.body.encode("utf-8", "surrogatepass"),
            source=self.url,
            id=given.id,
            receipt=given.receipt,
            attributes={"EnqueueTime": str(given.enqueued_ms), "Priority": str(given.priority)},
            receive_count=given.dequeue_count,
        )

    def delete(self, messages: Sequence[InboundMessage]) -> list[InboundMessage]:
        """See `EventSource.delete`. Entries that may still succeed are tried three times."""
        stuck: list[InboundMessage] = []
        for start in range(0, len(messages), BATCH_LIMIT):
            left = list(messages[start : start + BATCH_LIMIT])
            for _ in range(_DELETE_ATTEMPTS):
                refused = {
                    each.receipt: each.code
                    for each in self._client.delete(self._address.queue, [each.receipt for each in left])
                }
                stuck += [each for each in left if refused.get(each.receipt) in _FOR_GOOD]
                left = [each for each in left if each.receipt in refused and refused[each.receipt] not in _FOR_GOOD]
                if not left:
                    break
            stuck += left
        return stuck

    def release(self, messages: Sequence[InboundMessage], *, delay_s: float = 0.0) -> None:
        """See `EventSource.release`. What cannot be released comes again by itself, a little later."""
        hidden_s = max(1, min(math.ceil(delay_s), _VISIBILITY_CAP_S))  # the service knows no shorter time
        for each in messages:
            try:
                self._client.change_visibility(self._address.queue, each.receipt, hidden_s)
            except ProviderError as error:
                if error.provider_code not in _FOR_GOOD:
                    raise
                _log.info(
                    "a message could not be released (queue %s, code %s)",
                    self.url,
                    error.provider_code,
                    extra={"queue": self.url, "code": error.provider_code},
                )

    def close(self) -> None:
        self._client.close()
