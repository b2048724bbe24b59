"""`EventStream`: events one by one, each acknowledged when the loop's body has ended, offered again when it raised."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType

from typing_extensions import Self

from mediabroker.broker.events.feed import Feed
from mediabroker.clock import Clock
from mediabroker.errors import MediaBrokerError
from mediabroker.events import JobEvent
from mediabroker.store.deliveries import Delivery

__all__ = ["EventStream"]

_log = logging.getLogger(__name__)


class EventStream:
    """An iterator and a context manager; for one thread.

        with broker.events("sqs://media-events") as stream:
            for event in stream:
                ...

    An event counts as handled when the next one is asked for, or when the block ends without an exception. With an
    exception, or when the process dies, it is offered again, to this process or another one with the same consumer
    name, with the same `id`. Used without `with`, close it yourself.
    """

    def __init__(self, feed: Feed, clock: Clock, idle_timeout_s: float | None) -> None:
        self._feed = feed
        self._clock = clock
        self._idle_timeout_s = idle_timeout_s
        self._in_hand: Delivery | None = None
        self._started = False
        self._ending = False

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is not None and self._in_hand is not None:
                delivery, self._in_hand = self._in_hand, None
                self._give_back(delivery, error)
        finally:
            self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> JobEvent:
        """The next event, as soon as there is one; the end when the stream was stopped or idle for too long.

        Raises:
            StoreError: the one before could not be acknowledged, and will be offered again; or none can be read.
        """
        self._start()
        self._acknowledge()
        began_s = self._clock.monotonic_s()
        while not (self._ending or self._feed.stopped):
            self._in_hand = self._feed.claim()
            if self._in_hand is not None:
                return self._in_hand.event
            idle_s = self._clock.monotonic_s() - began_s
            if self._idle_timeout_s is not None and idle_s >= self._idle_timeout_s:
                break
            self._feed.wait()
        raise StopIteration

    @property
    def troubles(self) -> Mapping[str, MediaBrokerError]:
        """By source URL, why it cannot be received from at the moment; the other sources go on."""
        return self._feed.troubles

    def stop(self) -> None:
        """End the iteration after the event in hand; from another thread or a signal handler."""
        self._ending = True

    def close(self) -> None:
        """Acknowledge the event in hand, stop receiving, and let the queues go.

        Raises:
            StoreError: it could not be acknowledged, and will be offered again; the rest is done.
        """
        try:
            self._acknowledge()
        finally:
            if self._started:
                self._feed.close()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._feed.start()

    def _give_back(self, delivery: Delivery, error: BaseException) -> None:
        give_back = self._feed.failed if isinstance(error, Exception) else self._feed.put_back
        try:
            give_back(delivery)
        except MediaBrokerError as trouble:
            # What the body raised says more than this; the event is offered again when its loan has run out.
            _log.warning("an event could not be given back: %s", trouble, extra={"event": delivery.event.id})

    def _acknowledge(self) -> None:
        if self._in_hand is not None:
            delivery, self._in_hand = self._in_hand, None
            self._feed.done(delivery)
