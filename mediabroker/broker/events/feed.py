"""What runs behind a stream of events: a receiver per queue, one thread that renews leases, and the broker's passes.

    receivers   receive -> ingest (commit) -> delete
    watcher     the jobs that messages name, at once; all live ones every `reconcile_s`
    renewing    the loans of events in hand, so that a long handler keeps its event

Events are claimed from the store, so any number of processes may share a consumer's name and its work.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from threading import Event, Lock, Thread

from mediabroker.broker.core import Core
from mediabroker.broker.events.ingesting import ingest
from mediabroker.broker.following.watching import Watcher
from mediabroker.callbacks.receive import Receiver
from mediabroker.errors import MediaBrokerError
from mediabroker.messages import EventSource, InboundMessage
from mediabroker.outages import Outage
from mediabroker.store import deliveries
from mediabroker.store.deliveries import Delivery

__all__ = ["Feed"]

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
"""How soon an event that another process has written is noticed."""
_CLOSE_S = 4.0
_BACKOFF_CAP_S = 60.0


class Feed:
    """Events for one consumer. Thread-safe; `claim` and then one of `done`, `failed` and `put_back`.

    Without a consumer nothing can be claimed: callbacks are taken in and jobs kept up to date, for others.
    """

    def __init__(self, core: Core, watcher: Watcher, sources: Sequence[EventSource], consumer: str | None) -> None:
        self._core, self._watcher = core, watcher
        self._consumer = consumer
        self._owner = f"{core.owner}-{secrets.token_hex(4)}"
        self._loans: dict[str, str] = {}
        self._loan_numbers = itertools.count()
        self._receivers = [Receiver(source, self._take, core.clock) for source in sources]
        self._lock = Lock()
        self._stop = Event()
        self._news = Event()
        self._attending = ExitStack()
        self._renewing = Thread(target=self._renew, name="mediabroker-renew", daemon=True)

    @property
    def troubles(self) -> Mapping[str, MediaBrokerError]:
        """By source URL, why it cannot be received from at the moment."""
        return {each.url: each.trouble for each in self._receivers if each.trouble is not None}

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def register(self) -> None:
        """Make the consumer known, so that it is owed every event from now on, and those that are there."""
        if self._consumer is None:
            return
        with self._core.store.write() as tx:
            deliveries.register(tx, self._consumer, self._core.clock.now())

    def start(self) -> None:
        self.register()
        for receiver in self._receivers:
            receiver.start()
        self._renewing.start()
        # With queues, passes only heal what they have lost; without, they go at the providers' own pace.
        interval_s = self._core.settings.reconcile_s if self._receivers else None
        self._attending.enter_context(self._watcher.attending(interval_s, self._news.set))

    def stop(self) -> None:
        """No new messages and no new events; what is in hand can be finished."""
        self._stop.set()
        self._news.set()
        self._attending.close()
        for receiver in self._receivers:
            receiver.stop()

    def close(self) -> None:
        """Stop, and wait a few seconds for what is under way. A long poll is left to end by itself."""
        self.stop()
        ends_s = self._core.clock.monotonic_s() + _CLOSE_S
        if self._renewing.is_alive():
            self._renewing.join(self._left_s(ends_s))
        for receiver in self._receivers:
            receiver.join(self._left_s(ends_s))

    def _left_s(self, ends_s: float) -> float:
        return max(0.1, ends_s - self._core.clock.monotonic_s())

    def claim(self) -> Delivery | None:
        """The next event that is due, on loan; None when there is none now."""
        core = self._core
        now = core.clock.now()
        if self._consumer is None:
            return None
        with core.store.read() as tx:
            if not deliveries.is_due(tx, self._consumer, now):
                return None
        # A name for each loan: one that could not be settled is renewed no longer, and runs out among those that are.
        loan = f"{self._owner}-{next(self._loan_numbers)}"
        with core.store.write() as tx:
            delivery = deliveries.claim(tx, self._consumer, loan, now=now, until=now + core.lease)
        if delivery is not None:
            with self._lock:
                self._loans[delivery.event.id] = loan
        return delivery

    def wait(self, timeout_s: float = _LOOK_EVERY_S) -> None:
        """Until there may be news."""
        self._core.clock.wait(self._news, timeout_s)
        if not self.stopped:
            self._news.clear()

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the feed is stopped."""
        self._core.clock.wait(self._stop, seconds)

    def done(self, delivery: Delivery) -> None:
        """It was handled.

        Raises:
            StoreError: nobody could write that down; the event is offered again when its loan has run out. So it is
                when `failed` and `put_back` raise.
        """
        with self._let_go(delivery), self._core.store.write() as tx:
            deliveries.acknowledge(tx, delivery)
        self._news.set()  # the job's next event may be due now

    def failed(self, delivery: Delivery) -> None:
        """Handling has failed: offer the event again, later each time; other jobs' events go on meanwhile."""
        delay_s = min(2.0 ** min(delivery.failures, 10), _BACKOFF_CAP_S)
        self._give_back(delivery, delay_s, delivery.failures + 1)

    def put_back(self, delivery: Delivery) -> None:
        """It was not handled, through no fault of the handler's: offer it again at once."""
        self._give_back(delivery, 0.0, delivery.failures)

    def _give_back(self, delivery: Delivery, delay_s: float, failures: int) -> None:
        due_at = self._core.clock.now() + timedelta(seconds=delay_s)
        with self._let_go(delivery) as loan, self._core.store.write() as tx:
            deliveries.release(tx, delivery, loan, due_at=due_at, failures=failures)

    @contextmanager
    def _let_go(self, delivery: Delivery) -> Iterator[str]:
        """The name of the loan; when the block has ended, however it did, it is in hand no longer."""
        with self._lock:
            loan = self._loans.get(delivery.event.id, "")
        try:
            yield loan
        finally:
            with self._lock:
                if self._loans.get(delivery.event.id) == loan:  # else it ran out, and the event was claimed again
                    del self._loans[delivery.event.id]

    def _take(self, messages: Sequence[InboundMessage]) -> list[bool]:
        outcomes = ingest(self._core, messages)
        self._watcher.hint(job_id for outcome in outcomes for job_id in outcome.jobs)
        self._news.set()
        return [outcome.settled for outcome in outcomes]

    def _renew(self) -> None:
        outage = Outage(_log, f"renewing the loans of consumer {self._consumer}")
        while self._consumer and not self._core.clock.wait(self._stop, self._core.settings.lease_s / 3):
            try:
                self._renew_loans(self._consumer)
            except Exception as error:
                outage.failed(error)
            else:
                outage.succeeded()

    def _renew_loans(self, consumer: str) -> None:
        with self._lock:
            loans = list(self._loans.values())
        if not loans:
            return
        with self._core.store.write() as tx:
            until = self._core.clock.now() + self._core.lease
            for loan in loans:
                deliveries.renew(tx, consumer, loan, until)
