"""Messages from vendors' queues, before anybody has looked into them, and the queues they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from pydantic import JsonValue

__all__ = ["ENVELOPE_GROUP", "TRIGGER_GROUP", "Envelope", "EventSource", "InboundMessage", "Letter", "Trigger"]

ENVELOPE_GROUP = "mediabroker.envelopes"
"""Entry points: each names a tuple of `Envelope`s, and loads no vendor SDK."""
TRIGGER_GROUP = "mediabroker.triggers"
"""Entry points: each names a `Trigger`, by the name that `Broker.lambda_handler` is given."""


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


class Letter(NamedTuple):
    """A body that was inside another one, with what the outer one said beside it."""

    body: bytes
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Envelope:
    """One way in which a vendor wraps messages, or the form of a message that one of its services writes.

    Args:
        name: as `Notice.envelopes` lists it.
        unpack: takes a body that is no JSON; returns what is inside, or None when it is not wrapped so.
            Raises MarkupError when it is wrapped so and cannot be read.
        open: takes a JSON object; returns what is inside, or None.
        is_form: whether a JSON object is a service's own message of this form, which has no inside.
    """

    name: str
    unpack: Callable[[bytes], Letter | None] | None = None
    open: Callable[[Mapping[str, JsonValue]], Letter | None] | None = None
    is_form: Callable[[Mapping[str, JsonValue]], bool] | None = None


class Trigger(Protocol):
    """How a vendor's function service hands queue messages to a function, and how the function answers."""

    def messages(self, event: Mapping[str, Any]) -> list[InboundMessage]:
        """Return the messages of an invocation.

        Raises:
            InvalidJobError: the event is not one of this trigger.
        """
        ...

    def answer(self, again: Sequence[InboundMessage]) -> dict[str, Any]:
        """Return the function's answer, which names the messages that must be delivered again."""
        ...

    def has_time(self, context: Any) -> bool:
        """Return whether the invocation has time left for one more handler."""
        ...
