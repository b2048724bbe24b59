"""The same broker for asyncio: `Broker`'s methods in a small private thread pool. No second logic, no thread at import.

Waiting for a job or its events occupies none: a future is awaited. A stream and `serve` have a thread of their own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ALL_COMPLETED, Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Any, NamedTuple

from typing_extensions import ParamSpec, Self, TypeVar

from mediabroker.broker.broker import Broker, ReturnWhen
from mediabroker.broker.events.aio import AsyncEventStream, on_loop, run_in
from mediabroker.broker.events.ingesting import Ingested
from mediabroker.broker.events.trigger import TriggerHandler
from mediabroker.broker.job import Job, JobView
from mediabroker.broker.plan import Plan
from mediabroker.broker.prune import PruneReport
from mediabroker.clock import Clock
from mediabroker.config import BrokerSettings, load_settings
from mediabroker.errors import JobFailedError
from mediabroker.events import JobEvent
from mediabroker.jobs import JobSpec
from mediabroker.messages import EventSource, InboundMessage
from mediabroker.refs import JobRef
from mediabroker.results import JobResult
from mediabroker.spi import CancelOutcome, ObjectStore, Provider, ProviderOptions
from mediabroker.states import JobState
from mediabroker.store.quarantine import Quarantined

__all__ = ["AsyncBroker", "AsyncJob", "AsyncWaited"]

_THREADS = 8

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=JobResult)
H = TypeVar("H", bound=Callable[..., object])
R_co = TypeVar("R_co", bound=JobResult, covariant=True, default=JobResult)


class AsyncJob(JobView[R_co]):
    """The handle of a job for asyncio; see `Job` for each promise."""

    def __init__(self, broker: AsyncBroker, job: Job[R_co]) -> None:
        super().__init__(job.access, job.record)
        self._job = job
        self._owner = broker

    async def done(self) -> bool:
        return await self._call(self._job.done)

    async def cancelled(self) -> bool:
        return await self._call(self._job.cancelled)

    async def refresh(self) -> Self:
        await self._call(self._job.refresh)
        return self

    async def wait(self, timeout: float | None = None) -> Self:
        if not await self.done():
            future = asyncio.wrap_future(self.access.future(self.id))
            try:
                self.record = await asyncio.wait_for(future, timeout)
            except asyncio.TimeoutError:
                raise TimeoutError(f"job {self.id} has not ended within {timeout:g} s; it goes on") from None
        return self

    async def result(self, timeout: float | None = None) -> R_co:
        await self.wait(timeout)
        return self._outcome()

    async def exception(self, timeout: float | None = None) -> JobFailedError | None:
        await self.wait(timeout)
        return self._failure()

    async def retry(self) -> AsyncJob[R_co]:
        return await self._owner.retry(self)

    async def cancel(self) -> CancelOutcome:
        return await self._call(self._job.cancel)

    async def events(self, *, follow: bool = True) -> AsyncIterator[JobEvent]:
        iterator = self.access.events(self.id, follow=follow)
        while (each := await self._owner.in_thread(next, iterator, None)) is not None:
            if not isinstance(each, Future):
                yield each
            else:
                await asyncio.wrap_future(each)

    async def _call(self, method: Callable[[], T]) -> T:
        try:
            return await self._owner.in_thread(method)
        finally:
            self.record = self._job.record


class AsyncWaited(NamedTuple):
    """Which jobs have ended and which go on."""

    done: list[AsyncJob[Any]]
    not_done: list[AsyncJob[Any]]


class AsyncBroker:
    """`Broker` for asyncio: the same names, awaited; only `close` is called `aclose`. See `Broker` for each promise.

    The store is opened in the pool, by `async with` or the first call that is awaited; what is wrong with it or with a
    provider's settings is raised there.
    """

    def __init__(
        self,
        settings: BrokerSettings | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
        stores: Mapping[str, ObjectStore] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="mediabroker-async")
        self._open = partial(Broker, settings, providers=providers, stores=stores, clock=clock)
        self._opening: Future[Broker] | None = None
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def from_config(cls, path: Path | str | None = None) -> Self:
        return cls(load_settings(path))

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._opening is not None and self._opening.exception() is None:
            await self.in_thread(self._opening.result().close)
        self._pool.shutdown(wait=False)

    @property
    def settings(self) -> BrokerSettings:
        return self._begin().result().settings

    @property
    def providers(self) -> Mapping[str, Provider]:
        return self._begin().result().providers

    def _begin(self) -> Future[Broker]:
        """Return the broker that the pool opens: reading a store from disk would stop the event loop."""
        with self._lock:
            if self._opening is None:
                self._opening = self._pool.submit(self._open)
            return self._opening

    async def _opened(self) -> Broker:
        return await asyncio.shield(asyncio.wrap_future(self._begin()))

    async def submit(
        self,
        spec: JobSpec[R],
        *,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        idempotency_key: str | None = None,
        deadline: timedelta | float | None = None,
        queue_timeout: timedelta | float | None = None,
    ) -> AsyncJob[R]:
        job = await self.in_thread(
            (await self._opened()).submit,
            spec,
            provider=provider,
            options=options,
            idempotency_key=idempotency_key,
            deadline=deadline,
            queue_timeout=queue_timeout,
        )
        return AsyncJob(self, job)

    async def run(
        self,
        spec: JobSpec[R],
        *,
        timeout: float | None = None,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        idempotency_key: str | None = None,
        deadline: timedelta | float | None = None,
        queue_timeout: timedelta | float | None = None,
    ) -> R:
        job = await self.submit(
            spec,
            provider=provider,
            options=options,
            idempotency_key=idempotency_key,
            deadline=deadline,
            queue_timeout=queue_timeout,
        )
        return await job.result(timeout)

    async def plan(
        self,
        spec: JobSpec[Any],
        *,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        deadline: timedelta | float | None = None,
        queue_timeout: timedelta | float | None = None,
    ) -> Plan:
        return await self.in_thread(
            (await self._opened()).plan,
            spec,
            provider=provider,
            options=options,
            deadline=deadline,
            queue_timeout=queue_timeout,
        )

    async def retry(self, job: AsyncJob[R] | JobRef | str) -> AsyncJob[R]:
        old: Any = job.id if isinstance(job, AsyncJob) else job
        return AsyncJob(self, await self.in_thread((await self._opened()).retry, old))

    async def get(self, ref: JobRef | str | None = None, *, key: str | None = None) -> AsyncJob[Any]:
        return AsyncJob(self, await self.in_thread((await self._opened()).get, ref, key=key))

    async def list(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        provider: str | None = None,
        label: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[AsyncJob[Any]]:
        found = await self.in_thread(
            (await self._opened()).list, state=state, kind=kind, provider=provider, label=label, limit=limit
        )
        for job in found:
            yield AsyncJob(self, job)

    async def wait(
        self,
        waited_for: Iterable[AsyncJob[Any]],
        *,
        timeout: float | None = None,
        return_when: ReturnWhen = ALL_COMPLETED,
    ) -> AsyncWaited:
        listed = {job.id: job for job in waited_for}
        pending = {job_id: job for job_id, job in listed.items() if not await job.done()}
        futures = [asyncio.wrap_future(job.access.future(job_id)) for job_id, job in pending.items()]
        if futures and not (return_when != ALL_COMPLETED and len(pending) < len(listed)):
            await asyncio.wait(futures, timeout=timeout, return_when=return_when)
        # Asked of all of them first, for asyncio complains of errors that nobody has looked at.
        errors = [future.exception() for future in futures if not future.cancel()]
        if error := next(filter(None, errors), None):
            raise error
        done = [job for job in listed.values() if await job.done()]
        return AsyncWaited(done, [job for job in listed.values() if job not in done])

    async def cancel(self, job: AsyncJob[Any] | JobRef | str) -> CancelOutcome:
        return await self.in_thread((await self._opened()).cancel, job.id if isinstance(job, AsyncJob) else job)

    async def reconcile(self) -> None:
        await self.in_thread((await self._opened()).reconcile)

    async def prune(self, older_than: timedelta | float) -> PruneReport:
        return await self.in_thread((await self._opened()).prune, older_than)

    async def ingest(self, message: InboundMessage) -> Ingested:
        return await self.in_thread((await self._opened()).ingest, message)

    def events(
        self, *sources: str | EventSource, consumer: str = "default", idle_timeout: float | None = None
    ) -> AsyncEventStream:
        return AsyncEventStream(self._begin().result().events(*sources, consumer=consumer, idle_timeout=idle_timeout))

    def on(self, *types: type[JobEvent], kind: str | None = None) -> Callable[[H], H]:
        """As `Broker.on`; coroutine functions run on the loop that awaits `serve`, others in its threads."""
        add = self._begin().result().on(*types, kind=kind)

        def register(handler: H) -> H:
            asynchronous = inspect.iscoroutinefunction(handler)
            add(on_loop(handler, lambda: self._loop) if asynchronous else handler)
            return handler

        return register

    async def serve(
        self,
        *sources: str | EventSource,
        consumer: str | None = "default",
        threads: int = 4,
        stop: Event | None = None,
    ) -> None:
        """As `Broker.serve`, until `stop` is set or the task is cancelled; signals are the application's own."""
        self._loop = asyncio.get_running_loop()
        asked, own = stop or Event(), ThreadPoolExecutor(1, thread_name_prefix="mediabroker-serve")
        broker = await self._opened()
        work = run_in(own, broker.serve, *sources, consumer=consumer, threads=threads, stop=asked)
        serving = asyncio.ensure_future(work)
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            asked.set()
            await serving
            raise
        finally:
            own.shutdown(wait=False)

    def lambda_handler(self, *, consumer: str = "default", queue: str = "sqs") -> TriggerHandler:
        return self._begin().result().lambda_handler(consumer=consumer, queue=queue)

    async def quarantined(self, *, limit: int | None = None) -> Sequence[Quarantined]:
        return await self.in_thread((await self._opened()).quarantined, limit=limit)

    async def replay(self, quarantine_id: str) -> Ingested:
        return await self.in_thread((await self._opened()).replay, quarantine_id)

    async def forget_consumer(self, consumer: str) -> bool:
        return await self.in_thread((await self._opened()).forget_consumer, consumer)

    async def in_thread(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking method in the pool, with the caller's context variables."""
        return await run_in(self._pool, method, *args, **kwargs)
