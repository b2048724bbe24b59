"""Handlers of events: `on` registers them, `serve` gives them events from the outbox on a few threads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import NamedTuple, TypeVar

from mediabroker.broker.events.feed import Feed
from mediabroker.broker.events.signals import ending_on_signals
from mediabroker.events import JobEvent
from mediabroker.outages import Outage
from mediabroker.store.deliveries import Delivery

__all__ = ["Handler", "Handlers", "serve"]

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_GRACE_S = 4.0
"""How long handlers may take to end once `serve` is asked to stop; then their events are left to be offered again."""

Handler = Callable[[JobEvent], object]
H = TypeVar("H", bound=Callable[..., object])


class _Registered(NamedTuple):
    types: tuple[type[JobEvent], ...]
    kind: str | None
    handle: Handler


class Handlers:
    """What to call for which events, in the order of registration."""

    def __init__(self) -> None:
        self._registered: list[_Registered] = []

    def add(self, types: tuple[type[JobEvent], ...], kind: str | None, handle: Handler) -> None:
        self._registered.append(_Registered(types, kind, handle))

    def __call__(self, event: JobEvent) -> None:
        """Call every handler that fits; the first that raises ends it, and the event will be offered again to all."""
        for each in self._registered:
            fits = not each.types or isinstance(event, each.types)
            if fits and each.kind in (None, event.ref.kind):
                each.handle(event)

    def deliver(self, feed: Feed, delivery: Delivery) -> None:
        """Handle one event and say so; what a handler raises is logged and counted, and stops nobody else."""
        try:
            self(delivery.event)
        except Exception:
            details = {"event": delivery.event.id, "job": delivery.event.ref.job_id, "failures": delivery.failures + 1}
            _log.exception(
                "job %s: a handler failed at event %s; it will be offered again",
                delivery.event.ref.job_id,
                delivery.event.id,
                extra=details,
            )
            feed.failed(delivery)
        except BaseException:
            # An exit, as of `sys.exit`: it is passed on, and the event must not stay in hand for ever.
            feed.failed(delivery)
            raise
        else:
            feed.done(delivery)


def serve(feed: Feed, handlers: Handlers, *, threads: int, stop: Event | None) -> None:
    """Handle events until `stop` is set, or SIGTERM or SIGINT comes."""
    workers = [
        Thread(target=_work, args=(feed, handlers), name="mediabroker-handle", daemon=True) for _ in range(threads)
    ]
    asked = stop or Event()
    signals: list[bool] = []
    feed.start()
    try:
        with ending_on_signals(lambda: signals.append(True)):
            for worker in workers:
                worker.start()
            while not (signals or asked.wait(_LOOK_EVERY_S)):
                pass
    finally:
        feed.stop()
        for worker in workers:
            if worker.is_alive():
                worker.join(_GRACE_S / threads)
        feed.close()


def _work(feed: Feed, handlers: Handlers) -> None:
    outage = Outage(_log, "claiming and settling events")
    while not feed.stopped:
        try:
            delivery = feed.claim()
            if delivery is None:
                feed.wait()
            else:
                handlers.deliver(feed, delivery)
        except Exception as error:
            feed.pause(outage.failed(error))
        else:
            outage.succeeded()
