"""One thread per broker that asks for everybody: waiters share batched queries and occupy no thread of their own."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Event, RLock, Thread
from typing import Any

from mediabroker.broker.core import Core
from mediabroker.broker.poll import poll
from mediabroker.errors import BrokerClosedError, MediaBrokerError
from mediabroker.store import attempts, jobs
from mediabroker.store.records import JobRecord

__all__ = ["DEFAULT_PACE_S", "Watcher", "pace_s"]

_log = logging.getLogger(__name__)

DEFAULT_PACE_S = 1.0
"""Between two passes when no provider says how often it may be asked."""
_SLOWEST_FACTOR = 8
_GROWTH = 1.5


class Watcher:
    """Completes a future per waiter when its job ends, and one per follower when a pass over its job has ended."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # One that its owner may take again: a follower that is collected as garbage ends its block wherever that is.
        self._lock = RLock()
        self._futures: dict[str, list[Future[JobRecord]]] = defaultdict(list)
        self._followed: dict[str, int] = defaultdict(int)
        self._passes: list[tuple[int, Future[None]]] = []
        self._begun = self._ended = 0
        self._wake = Event()
        self._stop = Event()
        self._thread: Thread | None = None

    def future(self, job_id: str) -> Future[JobRecord]:
        """Done when the job has ended; cancel it to stop watching. Its error is a `BrokerClosedError`.

        Raises:
            BrokerClosedError: nobody watches any more.
        """
        future: Future[JobRecord] = Future()
        with self._lock:
            self._ensure_running()
            self._futures[job_id].append(future)
        return future

    @contextmanager
    def following(self, job_id: str) -> Iterator[None]:
        """Keep a job watched as long as the block runs.

        Raises:
            BrokerClosedError: nobody watches any more.
        """
        with self._lock:
            self._ensure_running()
            self._followed[job_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._followed[job_id] -= 1
                if not self._followed[job_id]:
                    del self._followed[job_id]

    @property
    def passes(self) -> int:
        """How many passes have ended."""
        return self._ended

    def pass_after(self, seen: int) -> Future[None]:
        """Done when more than `seen` passes have ended: who reads `passes`, then the store, misses nothing.

        Raises:
            BrokerClosedError: there is none to come; where it is closed later, that is the future's error.
        """
        future: Future[None] = Future()
        with self._lock:
            self._refuse_when_closed()
            if self._ended > seen:
                future.set_result(None)
            else:
                self._passes.append((seen, future))
        return future

    def wait_for_pass(self) -> None:
        """Return once a whole pass over the watched jobs has begun and ended.

        Raises:
            BrokerClosedError: the broker is closed, or was meanwhile.
        """
        self.pass_after(self._begun).result()

    def close(self) -> None:
        """Tell whoever waits, and wait for the pass that is under way."""
        with self._lock:
            self._stop.set()
            self._wake.set()
            waiting: list[Future[Any]] = [future for futures in self._futures.values() for future in futures]
            waiting += [future for _, future in self._passes]
            self._futures.clear()
            self._passes.clear()
            thread = self._thread
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(BrokerClosedError("the broker was closed while somebody waited; the job goes on"))
        if thread is not None:
            thread.join()

    def _refuse_when_closed(self) -> None:
        if self._stop.is_set():
            raise BrokerClosedError("the broker is closed")

    def _ensure_running(self) -> None:
        self._refuse_when_closed()
        self._wake.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="mediabroker-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        interval_s = 0.0
        before: object = ()
        while ids := self._begin():
            base_s, now = self._pass_over(ids)
            # Nothing new: ask more rarely, up to a bound; any change: back to the provider's own pace.
            interval_s = base_s if now != before else min(interval_s * _GROWTH, base_s * _SLOWEST_FACTOR)
            before = now
            if self._any_watched():
                self._pause(base_s, interval_s)

    def _pause(self, base_s: float, interval_s: float) -> None:
        """The provider's own pace in any case, so that many waiters share a query; a new one cuts the rest short."""
        self._core.clock.wait(self._stop, base_s)
        if interval_s > base_s:
            self._core.clock.wait(self._wake, interval_s - base_s)

    def _begin(self) -> list[str]:
        """The jobs to look at; with none the thread ends, and the next waiter starts another."""
        with self._lock:
            self._wake.clear()
            for job_id in list(self._futures):
                self._futures[job_id] = [future for future in self._futures[job_id] if not future.cancelled()]
                if not self._futures[job_id]:
                    del self._futures[job_id]
            ids = [] if self._stop.is_set() else sorted({*self._futures, *self._followed})
            if ids:
                self._begun += 1
            else:
                self._thread = None
            return ids

    def _any_watched(self) -> bool:
        with self._lock:
            return bool(self._futures or self._followed) and not self._stop.is_set()

    def _pass_over(self, ids: Sequence[str]) -> tuple[float, object]:
        """One pass: the pace of the next, and what was seen. Whatever goes wrong, everybody waits on this thread."""
        try:
            records = self._look(ids)
            self._settle(records)
            base_s = self._base_interval_s(ids)
        except Exception:
            _log.exception("a pass over watched jobs failed; the next one tries again")
            return DEFAULT_PACE_S, None
        finally:
            self._end()
        return base_s, [(record.id, record.state, record.phase, record.progress) for record in records]

    def _look(self, ids: Sequence[str]) -> list[JobRecord]:
        try:
            poll(self._core, ids, patient=False)
        except Exception:
            # A defect in one provider must not silence everybody who waits; the next pass tries again.
            _log.exception("a pass over live jobs failed")
        with self._core.store.read() as tx:
            return [record for record in (jobs.by_id(tx, job_id) for job_id in ids) if record is not None]

    def _settle(self, records: Sequence[JobRecord]) -> None:
        with self._lock:
            ended = [
                (future, record)
                for record in records
                if record.state.is_terminal
                for future in self._futures.pop(record.id, [])
            ]
        for future, record in ended:
            if future.set_running_or_notify_cancel():
                future.set_result(record)

    def _end(self) -> None:
        with self._lock:
            self._ended = self._begun
            due = [future for seen, future in self._passes if seen < self._ended]
            self._passes = [(seen, future) for seen, future in self._passes if seen >= self._ended]
        for future in due:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _base_interval_s(self, ids: Sequence[str]) -> float:
        with self._core.store.read() as tx:
            names = {attempts.latest(tx, job_id).provider for job_id in ids if jobs.by_id(tx, job_id)}
        return pace_s(self._core, names)


def pace_s(core: Core, providers: Iterable[str]) -> float:
    """How long to wait between two passes: as the quickest of these providers wants it."""
    return min((_own_pace_s(core, name) for name in providers), default=DEFAULT_PACE_S)


def _own_pace_s(core: Core, provider: str) -> float:
    try:
        return core.fleet.named(provider).capabilities().poll_interval_s
    except MediaBrokerError:
        # Its job was submitted under other settings; the pass itself says so in the log.
        return DEFAULT_PACE_S
