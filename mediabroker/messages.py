"""Messages from vendors' queues, before anybody has looked into them, and the queues they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["EventSource", "InboundMessage"]


@dataclass(frozen=True)
class InboundMessage:
    """One delivery of one message, as it came.

    Args:
        body: the bytes, untouched.
        source: URL of the queue, or of whatever else has brought it.
        id: the queue's own id; the same when the message is delivered again.
        receipt: what deletes exactly this delivery; worthless after its visibility time.
        attributes: what the queue says beside the body.
        receive_count: how often the queue has handed the message out, this time included.
    """

    body: bytes
    source: str = ""
    id: str = ""
    receipt: str = field(default="", repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict)
    receive_count: int = 1


class EventSource(Protocol):
    """A vendor's queue. A message that is received stays hidden for a while, and comes back unless it is deleted.

    A factory `(url, settings) -> EventSource` is offered in the entry-point group `mediabroker.sources` under the
    URL's scheme. One thread uses an instance at a time, except `close`.

    Raises:
        ProviderError: from every method: the queue cannot be asked now, or not at all.
    """

    @property
    def url(self) -> str: ...

    def receive(self, *, wait_s: float) -> list[InboundMessage]:
        """What is there now, or what comes within `wait_s` seconds; none is no error."""
        ...

    def delete(self, messages: Sequence[InboundMessage]) -> list[InboundMessage]:
        """Remove messages for good; returns those that could not be removed and will come again."""
        ...

    def release(self, messages: Sequence[InboundMessage], *, delay_s: float = 0.0) -> None:
        """Let messages be received again, in `delay_s` seconds at the earliest."""
        ...

    def close(self) -> None: ...
