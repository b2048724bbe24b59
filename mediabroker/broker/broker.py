"""`Broker`: submit, follow, wait for, cancel, plan and prune jobs, on whatever provider runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ALL_COMPLETED, Future
from concurrent.futures import wait as wait_futures
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any, Literal, NamedTuple

from typing_extensions import Self, TypeVar

from mediabroker.broker import handlers as handling
from mediabroker.broker import ingest as ingestion
from mediabroker.broker import prune as pruning
from mediabroker.broker import submit as submission
from mediabroker.broker.adopt import adopt
from mediabroker.broker.cancel import cancel
from mediabroker.broker.core import Core, Fleet
from mediabroker.broker.feed import Feed
from mediabroker.broker.job import Job
from mediabroker.broker.plan import Plan, plan
from mediabroker.broker.poll import poll
from mediabroker.broker.route import choose
from mediabroker.broker.stream import EventStream
from mediabroker.broker.trigger import TriggerHandler, make_trigger
from mediabroker.broker.watch import Watcher
from mediabroker.callbacks.sources import open_source
from mediabroker.clock import Clock, SystemClock
from mediabroker.config import BrokerSettings, load_settings
from mediabroker.errors import JobNotFoundError, MediaBrokerError
from mediabroker.events import JobEvent
from mediabroker.jobs import JobSpec
from mediabroker.messages import EventSource, InboundMessage
from mediabroker.refs import JobRef
from mediabroker.results import JobResult
from mediabroker.spi import CancelOutcome, Provider, ProviderOptions
from mediabroker.states import JobState
from mediabroker.storage import Stores
from mediabroker.store import deliveries, events, jobs, open_store, quarantine
from mediabroker.store.records import JobRecord

__all__ = ["Broker", "Waited"]

R = TypeVar("R", bound=JobResult)
H = TypeVar("H", bound=Callable[..., object])

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED"]


class Waited(NamedTuple):
    """Which jobs have ended and which go on."""

    done: list[Job[Any]]
    not_done: list[Job[Any]]


class Broker:
    """The one door to all providers. Thread-safe; the state is in the store, so any number of processes may share one.

    With no arguments it needs no account, no server and no file: the local provider, and SQLite in the user's data
    folder.

    Args:
        settings: what `load_settings` gives; default: the environment alone.
        providers: ready instances by name, instead of those that the settings name.
        clock: for tests.

    Raises:
        ConfigurationError: a wrong setting.
        StoreError: the store cannot be opened.
    """

    def __init__(
        self,
        settings: BrokerSettings | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or load_settings()
        self.core = Core(
            store=open_store(settings.store, busy_timeout_s=settings.busy_timeout_s),
            fleet=Fleet(settings, providers),
            stores=Stores(settings.stores),
            clock=clock or SystemClock(),
            settings=settings,
        )
        self.watcher = Watcher(self.core)
        self._handlers = handling.Handlers()

    @classmethod
    def from_config(cls, path: Path | str | None = None) -> Self:
        """The broker that `mediabroker.toml` describes; see `mediabroker.config` for where it is looked for."""
        return cls(load_settings(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching and let go of the store and the transports. Jobs go on."""
        self.watcher.close()
        self.core.fleet.close()
        self.core.stores.close()
        self.core.store.close()

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The configured instances by name."""
        return self.core.fleet

    def submit(
        self,
        spec: JobSpec[R],
        *,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        idempotency_key: str | None = None,
    ) -> Job[R]:
        """Start a job, exactly once in effect, also when this process dies at any moment.

        The same key with the same request gives the same job, from any process. A refusal by the provider is a job that
        has FAILED; an outcome that nobody knows yet is a job in SUBMITTING with a `hold_reason`.

        Args:
            provider: an instance's name, or several in order of preference; default: all, in configured order.
            options: typed options of providers in play.
            idempotency_key: 1 to 256 printable characters; kept for 30 days after the job has ended.

        Raises:
            UnsupportedError: nobody can express the request. Nothing was stored or sent.
            IdempotencyConflictError: the key belongs to another request. Nothing was sent.
        """
        chosen = choose(self.core.fleet, spec, among=provider, options=options).provider
        job_id = submission.commit_intent(self.core, spec, chosen, options, idempotency_key)
        submission.go_on(self.core, job_id)
        return Job(self, self._record(job_id))

    def run(
        self,
        spec: JobSpec[R],
        *,
        timeout: float | None = None,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        idempotency_key: str | None = None,
    ) -> R:
        """Submit and wait: `submit(...).result(timeout)`."""
        job = self.submit(spec, provider=provider, options=options, idempotency_key=idempotency_key)
        return job.result(timeout)

    def plan(
        self,
        spec: JobSpec[Any],
        *,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
    ) -> Plan:
        """What `submit` would do: the choice, the rejections, and the literal calls. Nothing is stored or started."""
        return plan(self.core, spec, among=provider, options=options)

    def get(self, ref: JobRef | str) -> Job[Any]:
        """The job with that id or reference, as the store knows it.

        A full reference also finds a job that this store has never seen: the provider is asked for it.

        Raises:
            JobNotFoundError: neither the store nor the provider knows it.
        """
        parsed = JobRef.parse(ref) if isinstance(ref, str) and ref.startswith("job:") else ref
        job_id = parsed.job_id if isinstance(parsed, JobRef) else parsed
        try:
            return Job(self, self._record(job_id))
        except JobNotFoundError:
            if not isinstance(parsed, JobRef):
                raise
        adopt(self.core, parsed)
        return Job(self, self._record(job_id))

    def list(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        provider: str | None = None,
        label: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> Iterator[Job[Any]]:
        """The jobs of the store that match all that is given, newest first."""
        with self.core.store.read() as tx:
            found = list(jobs.search(tx, state=state, kind=kind, provider=provider, label=label, limit=limit))
        return (Job(self, record) for record in found)

    def wait(
        self, waited_for: Iterable[Job[Any]], *, timeout: float | None = None, return_when: ReturnWhen = ALL_COMPLETED
    ) -> Waited:
        """Wait for many jobs at once, as `concurrent.futures.wait` does: a timeout is no error here."""
        listed = {job.id: job for job in waited_for}
        futures = {self.future(job_id): job_id for job_id, job in listed.items() if not job.done()}
        if not (return_when != ALL_COMPLETED and len(futures) < len(listed)):
            wait_futures(futures, timeout, return_when)
        for future in futures:
            future.cancel()
        done = [job for job in listed.values() if job.done()]
        return Waited(done, [job for job in listed.values() if job not in done])

    def cancel(self, job: Job[Any] | JobRef | str) -> CancelOutcome:
        """Ask the provider to stop a job; see `CancelOutcome` for what it may come to."""
        job_id = job.id if isinstance(job, Job) else self.get(job).id
        return cancel(self.core, job_id)

    def reconcile(self) -> None:
        """Bring every live job up to date once, and pick up what a crashed process has left. Safe to run from cron.

        Raises:
            ProviderError: a provider could not be asked; the others were.
        """
        errors = self.poll()
        if errors:
            raise errors[0]

    def prune(self, older_than: timedelta) -> pruning.PruneReport:
        """Remove jobs that ended longer ago than `older_than`, and what their providers keep of them.

        A live job is never removed, nor one whose idempotency key must still be honoured.
        """
        return pruning.prune(self.core, older_than)

    def ingest(self, message: InboundMessage) -> ingestion.Ingested:
        """Take one callback in, from a web framework or a queue of your own, and ask the provider for its jobs.

        Commit, answer or delete: when this has returned, the message may go. It is believed in nothing but which jobs
        to ask for; one that nobody can use is kept in the quarantine.

        Raises:
            StoreError: it was not taken in; have it sent again.
        """
        outcome = ingestion.ingest(self.core, [message])[0]
        ingestion.look(self.core, outcome.jobs)
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
        return EventStream(self._feed(sources, consumer), self.core.clock, idle_timeout)

    def on(self, *types: type[JobEvent], kind: str | None = None) -> Callable[[H], H]:
        """Decorator: have `serve` and `lambda_handler` call the function with each event of these types and kind.

        Without types, with every event. An event is offered again, to all its handlers, until none of them raises.
        """

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

    def lambda_handler(self, *, consumer: str = "default") -> TriggerHandler:
        """The function for AWS Lambda behind an SQS trigger that reports batch item failures."""
        return make_trigger(self.core, self._handlers, consumer)

    def quarantined(self, *, limit: int | None = None) -> Sequence[quarantine.Quarantined]:
        """Messages that nobody could use, the latest first, each with its bytes and the reason."""
        with self.core.store.read() as tx:
            return quarantine.newest(tx, limit)

    def replay(self, quarantine_id: str) -> ingestion.Ingested:
        """Take a quarantined message in again; it leaves the quarantine if it can be used now.

        Raises:
            MessageNotFoundError: nothing of that id is quarantined.
            ProviderError: its provider cannot be asked now.
        """
        return ingestion.replay(self.core, quarantine_id)

    def forget_consumer(self, consumer: str) -> bool:
        """Drop a consumer of `events` or `serve` and what it has still to be given; whether it was known."""
        with self.core.store.write() as tx:
            return deliveries.forget(tx, consumer)

    def _feed(self, sources: Iterable[str | EventSource], consumer: str | None) -> Feed:
        tables = self.core.settings.sources
        opened = [open_source(each, tables) if isinstance(each, str) else each for each in sources]
        return Feed(self.core, opened, consumer)

    def poll(self, ids: Sequence[str] | None = None) -> Sequence[MediaBrokerError]:
        """One pass over the live jobs of `ids`, or all; the errors met."""
        return poll(self.core, ids)

    def future(self, job_id: str) -> Future[JobRecord]:
        """Done when the job has ended; cancel it to stop waiting. Occupies no thread."""
        return self.watcher.future(job_id)

    def job_events(self, job_id: str, *, follow: bool) -> Iterator[JobEvent]:
        """See `Job.events`."""
        if not follow:
            yield from self._events_after(job_id, 0)
            return
        sequence = 0
        with self.watcher.following(job_id):
            while True:
                ended = self._record(job_id).state.is_terminal
                for event in self._events_after(job_id, sequence):
                    sequence = event.sequence
                    yield event
                if ended:
                    return
                self.watcher.wait_for_pass()

    def _events_after(self, job_id: str, sequence: int) -> Sequence[JobEvent]:
        with self.core.store.read() as tx:
            return events.events_after(tx, job_id, sequence)

    def _record(self, job_id: str) -> JobRecord:
        with self.core.store.read() as tx:
            record = jobs.by_id(tx, job_id)
        if record is None:
            raise JobNotFoundError(f"no job {job_id!r} in {self.core.store.url}")
        return record
