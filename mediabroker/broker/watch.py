"""One thread per broker that asks for everybody: waiters share batched queries and occupy no thread of their own."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Condition, Event, Thread

from mediabroker.broker.core import Core
from mediabroker.broker.poll import poll
from mediabroker.store import attempts, jobs
from mediabroker.store.records import JobRecord

__all__ = ["Watcher"]

_log = logging.getLogger(__name__)

_SLOWEST_FACTOR = 8
_GROWTH = 1.5


class Watcher:
    """Completes a future per waiter when its job ends; wakes followers when anything of their job has changed."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._changed = Condition()
        self._futures: dict[str, list[Future[JobRecord]]] = defaultdict(list)
        self._followed: dict[str, int] = defaultdict(int)
        self._pass = 0
        self._wake = Event()
        self._stop = Event()
        self._thread: Thread | None = None

    def future(self, job_id: str) -> Future[JobRecord]:
        """Done when the job has ended; cancel it to stop watching."""
        future: Future[JobRecord] = Future()
        with self._changed:
            self._futures[job_id].append(future)
            self._ensure_running()
        return future

    @contextmanager
    def following(self, job_id: str) -> Iterator[None]:
        """Keep a job watched as long as the block runs."""
        with self._changed:
            self._followed[job_id] += 1
            self._ensure_running()
        try:
            yield
        finally:
            with self._changed:
                self._followed[job_id] -= 1
                if not self._followed[job_id]:
                    del self._followed[job_id]

    def wait_for_pass(self) -> None:
        """Return once a whole pass over the watched jobs has begun and ended."""
        with self._changed:
            goal = self._pass + 1
            self._changed.wait_for(lambda: self._pass >= goal or self._stop.is_set())

    def close(self) -> None:
        with self._changed:
            self._stop.set()
            self._wake.set()
            self._changed.notify_all()
            waiting = [future for futures in self._futures.values() for future in futures]
            self._futures.clear()
        for future in waiting:
            future.cancel()
        if self._thread is not None:
            self._thread.join()

    def _ensure_running(self) -> None:
        if self._stop.is_set():
            raise RuntimeError("the broker is closed")
        self._wake.set()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="mediabroker-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        interval_s, before = 0.0, None
        while ids := self._watched():
            self._wake.clear()
            records = self._look(ids)
            self._settle(records)
            # Nothing new: ask more rarely, up to a bound; any change: back to the provider's own pace.
            base_s = self._base_interval_s(ids)
            now = [(record.id, record.state, record.phase, record.progress) for record in records]
            interval_s = base_s if now != before else min(interval_s * _GROWTH, base_s * _SLOWEST_FACTOR)
            before = now
            if self._any_watched():
                self._pause(base_s, interval_s)

    def _pause(self, base_s: float, interval_s: float) -> None:
        """The provider's own pace in any case, so that many waiters share a query; a new one cuts the rest short."""
        self._core.clock.wait(self._stop, base_s)
        if interval_s > base_s:
            self._core.clock.wait(self._wake, interval_s - base_s)

    def _watched(self) -> list[str]:
        """The jobs to look at; with none the thread ends, and the next waiter starts another."""
        with self._changed:
            for job_id in list(self._futures):
                self._futures[job_id] = [future for future in self._futures[job_id] if not future.cancelled()]
                if not self._futures[job_id]:
                    del self._futures[job_id]
            ids = [] if self._stop.is_set() else sorted({*self._futures, *self._followed})
            if not ids:
                self._thread = None
            return ids

    def _any_watched(self) -> bool:
        with self._changed:
            return bool(self._futures or self._followed) and not self._stop.is_set()

    def _look(self, ids: Sequence[str]) -> list[JobRecord]:
        try:
            poll(self._core, ids, patient=False)
        except Exception:
            # A defect in one provider must not silence everybody who waits; the next pass tries again.
            _log.exception("a pass over live jobs failed")
        with self._core.store.read() as tx:
            return [record for record in (jobs.by_id(tx, job_id) for job_id in ids) if record is not None]

    def _settle(self, records: Sequence[JobRecord]) -> None:
        with self._changed:
            ended = [
                (future, record)
                for record in records
                if record.state.is_terminal
                for future in self._futures.pop(record.id, [])
            ]
            self._pass += 1
            self._changed.notify_all()
        for future, record in ended:
            if future.set_running_or_notify_cancel():
                future.set_result(record)

    def _base_interval_s(self, ids: Sequence[str]) -> float:
        with self._core.store.read() as tx:
            names = {attempts.latest(tx, job_id).provider for job_id in ids if jobs.by_id(tx, job_id)}
        return min((self._core.fleet.named(name).capabilities().poll_interval_s for name in names), default=1.0)
