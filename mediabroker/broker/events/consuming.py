"""The broker's face towards callbacks and events: taking messages in, giving events out, and the quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import TypeVar

from mediabroker.broker.arguments import check_count, check_handled
from mediabroker.broker.core import Core
from mediabroker.broker.events import handlers as handling
from mediabroker.broker.events import ingesting as ingestion
from mediabroker.broker.events.feed import Feed
from mediabroker.broker.events.stream import EventStream
from mediabroker.broker.events.trigger import TriggerHandler, make_trigger
from mediabroker.broker.following.watching import Watcher
from mediabroker.callbacks.sources import open_source
from mediabroker.events import JobEvent
from mediabroker.messages import EventSource, InboundMessage
from mediabroker.store import deliveries, quarantine

__all__ = ["Consuming"]

H = TypeVar("H", bound=Callable[..., object])


class Consuming:
    """What `Broker` does with callbacks and events."""

    def __init__(self, core: Core) -> None:
        self._core, self._watcher = core, Watcher(core)
        self._handlers = handling.Handlers()

    def ingest(self, message: InboundMessage) -> ingestion.Ingested:
        """Take one callback in, from a web framework or a queue of your own, and ask the provider for its jobs.

        Commit, answer or delete: when this has returned, the message may go. It is believed in nothing but which jobs
        to ask for; one that nobody can use is kept in the quarantine.

        Raises:
            StoreError: it was not taken in; have it sent again.
        """
        outcome = ingestion.ingest(self._core, [message])[0]
        ingestion.look(self._core, outcome.jobs)
        return outcome

    def events(
        self, *sources: str | EventSource, consumer: str = "default", idle_timeout: float | None = None
    ) -> EventStream:
        """Events of all jobs in the store, fed by queues (`sqs://name`) and by asking the providers.

        Each is acknowledged when the loop's body has ended and offered again when it raised; in order per job. A new
        consumer begins with the oldest event in the store. Processes with the same consumer name share the events.

        Args:
            sources: queues to receive from; without any, the providers are asked at their own pace.
            consumer: who acknowledges. What a consumer has still to be given is never pruned.
            idle_timeout: end the stream after so many seconds without an event; default: never.

        Raises:
            ConfigurationError: a source's URL or settings are wrong.
        """
        return EventStream(self._feed(sources, consumer), self._core.clock, idle_timeout)

    def on(self, *types: type[JobEvent], kind: str | None = None) -> Callable[[H], H]:
        """Decorator: have `serve` and `lambda_handler` call the function with each event of these types and kind.

        Without types, with every event. An event is offered again, to all its handlers, until none of them raises.

        Raises:
            ConfigurationError: something is no class of events, or no class for the kind is defined yet.
        """
        check_handled(types, kind)

        def register(handler: H) -> H:
            self._handlers.add(types, kind, handler)
            return handler

        return register

    def serve(
        self,
        *sources: str | EventSource,
        consumer: str | None = "default",
        threads: int = 4,
        stop: Event | None = None,
    ) -> None:
        """Run the handlers that `on` registered, until SIGTERM, SIGINT or `stop`; then finish what is in hand, in 10 s.

        Also keeps all live jobs up to date, so one `serve` is all that a deployment needs. Arguments as in `events`;
        without a consumer (None) only that is done, and the events stay for those who ask for them.
        """
        feed = self._feed(sources, consumer)
        handling.serve(feed, self._handlers, threads=threads if consumer else 0, stop=stop)

    def lambda_handler(self, *, consumer: str = "default", queue: str = "sqs") -> TriggerHandler:
        """Return the function for a vendor's function service whose trigger on a `queue` reports items that failed.

        Raises:
            ConfigurationError: no installed package offers a trigger for such queues.
        """
        return make_trigger(self._core, self._watcher, self._handlers, consumer, queue)

    def quarantined(self, *, limit: int | None = None) -> Sequence[quarantine.Quarantined]:
        """Messages that nobody could use, the latest first, each with its bytes and the reason.

        Raises:
            InvalidJobError: `limit` is no whole number from 1 on.
        """
        check_count("limit", limit)
        with self._core.store.read() as tx:
            return quarantine.newest(tx, limit)

    def replay(self, quarantine_id: str) -> ingestion.Ingested:
        """Take a quarantined message in again; it leaves the quarantine if it can be used now.

        Raises:
            MessageNotFoundError: nothing of that id is quarantined.
            ProviderError, ConfigurationError: its provider cannot be asked now; the message stays.
        """
        return ingestion.replay(self._core, quarantine_id)

    def forget_consumer(self, consumer: str) -> bool:
        """Drop a consumer of `events` or `serve` and what it has still to be given; whether it was known."""
        with self._core.store.write() as tx:
            return deliveries.forget(tx, consumer)

    def _feed(self, sources: Iterable[str | EventSource], consumer: str | None) -> Feed:
        tables = self._core.settings.sources
        opened = [open_source(each, tables) if isinstance(each, str) else each for each in sources]
        return Feed(self._core, self._watcher, opened, consumer)
