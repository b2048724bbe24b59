"""The one loop that follows jobs: waiters, followers, feeds and callbacks share its passes and occupy no thread.

waiters, followers   their jobs, at the pace of the providers, more rarely while nothing changes
feeds                all live jobs, every `interval_s` seconds
hints                the jobs that callbacks name, at once
"""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Event, RLock, Thread
from typing import Any, NamedTuple

from mediabroker.broker.core import Core
from mediabroker.broker.following.passing import Pass, Suspects
from mediabroker.errors import BrokerClosedError, MediaBrokerError
from mediabroker.outages import Outage
from mediabroker.store import attempts
from mediabroker.store.records import JobRecord

__all__ = ["Watcher"]

_log = logging.getLogger(__name__)

_PACE_S = 1.0
"""Between two passes when no provider says how often it may be queried."""
_SLOWEST_FACTOR = 8
_GROWTH = 1.5
_LEASE_LOOK_S = 0.5
_LONGEST_S = 3600.0


class _Attendant(NamedTuple):
    """A feed: it wants all live jobs kept up to date, and to know of each pass."""

    interval_s: float | None
    """None: at the pace of the live jobs' providers."""
    notify: Callable[[], None]


class Watcher:
    """Completes a future for each waiter when its job ends, and one for each follower when a pass has ended."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # Reentrant: a follower that is collected as garbage leaves its block in whichever thread that happens.
        self._lock = RLock()
        self._futures: dict[str, list[Future[JobRecord]]] = defaultdict(list)
        self._followed: Counter[str] = Counter()
        self._attendants: list[_Attendant] = []
        self._hinted: set[str] = set()
        self._passes: list[tuple[int, Future[None]]] = []
        self._begun = self._ended = 0
        self._wake = Event()
        self._stop = Event()
        self._thread: Thread | None = None
        self._suspects: Suspects = set()

    def future(self, job_id: str) -> Future[JobRecord]:
        """Return a future that is done when the job has ended; cancel it to stop watching.

        Raises:
            BrokerClosedError: the broker is closed; where it is closed later, that is the future's error.
        """
        future: Future[JobRecord] = Future()
        with self._lock:
            self._futures[job_id].append(future)
            self._ensure_running()
        return future

    @contextmanager
    def following(self, job_id: str) -> Iterator[None]:
        """Keep a job watched as long as the block runs.

        Raises:
            BrokerClosedError: the broker is closed.
        """
        with self._lock:
            self._followed[job_id] += 1
            self._ensure_running()
        try:
            yield
        finally:
            with self._lock:
                self._followed -= Counter([job_id])

    @contextmanager
    def attending(self, interval_s: float | None, notify: Callable[[], None]) -> Iterator[None]:
        """Keep all live jobs up to date as long as the block runs; call `notify` after each pass."""
        attendant = _Attendant(interval_s, notify)
        with self._lock:
            self._attendants.append(attendant)
            self._ensure_running()
        try:
            yield
        finally:
            with self._lock:
                self._attendants.remove(attendant)
                self._wake.set()

    def hint(self, job_ids: Iterable[str]) -> None:
        """Have these jobs queried at once; those that are named meanwhile share a query."""
        with self._lock:
            self._hinted.update(job_ids)
            if self._hinted and not self._stop.is_set():
                self._ensure_running()

    @property
    def passes(self) -> int:
        """How many passes have ended."""
        return self._ended

    def pass_after(self, seen: int) -> Future[None]:
        """Return a future that is done when more than `seen` passes have ended.

        A caller that reads `passes`, then the store, misses nothing.

        Raises:
            BrokerClosedError: the broker is closed; where it is closed later, that is the future's error.
        """
        future: Future[None] = Future()
        with self._lock:
            self._check_open()
            if self._ended > seen:
                future.set_result(None)
            else:
                self._passes.append((seen, future))
        return future

    def close(self) -> None:
        """End all waiting, and wait for the pass that is under way."""
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
                future.set_exception(BrokerClosedError("the broker was closed while a caller waited; the job goes on"))
        if thread is not None:
            thread.join()

    def _check_open(self) -> None:
        if self._stop.is_set():
            raise BrokerClosedError("the broker is closed")

    def _ensure_running(self) -> None:
        self._check_open()
        self._wake.set()
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._run, name="mediabroker-watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        rhythm = _Rhythm(self._core)
        while (wanted := self._begin()) is not None:
            watched, hinted, attendants = wanted
            rhythm.intervals_s = [each.interval_s for each in attendants]
            is_full, is_watch = rhythm.due(bool(attendants), bool(watched))
            if is_full or is_watch or hinted:
                ids = None if is_full else sorted({*(watched if is_watch else ()), *hinted})
                passed = self._pass_over(ids, watched if is_full else set(), attendants)
                rhythm.plan(passed, is_full=is_full, is_watch=is_watch)
            left_s = rhythm.left_s(bool(attendants), bool(watched))
            if left_s <= 0:
                continue
            if self._core.clock.wait(self._wake, left_s):
                rhythm.hurry()
            else:
                rhythm.arrive(left_s)

    def _begin(self) -> tuple[set[str], set[str], Sequence[_Attendant]] | None:
        """Return what is to be followed; with nothing the thread ends, and the next waiter starts another."""
        with self._lock:
            self._wake.clear()
            for job_id in list(self._futures):
                self._futures[job_id] = [future for future in self._futures[job_id] if not future.cancelled()]
                if not self._futures[job_id]:
                    del self._futures[job_id]
            watched, hinted = {*self._futures, *self._followed}, self._hinted
            self._hinted = set()
            if self._stop.is_set() or not (watched or hinted or self._attendants):
                self._thread = None
                return None
            return watched, hinted, list(self._attendants)

    def _pass_over(
        self, ids: Sequence[str] | None, extra: set[str], attendants: Sequence[_Attendant]
    ) -> Pass | Exception:
        """One pass, or what went wrong: all that waits does so on this thread, so it must survive."""
        with self._lock:
            self._begun += 1
        try:
            current = Pass(self._core, ids, suspects=self._suspects, is_patient=False)
            current.run()
            records = {each.job.id: each.job for each in current.seen}
            if missing := sorted(extra - records.keys()):
                with self._core.store.read() as tx:
                    records |= {job.id: job for job, *_ in attempts.load(tx, missing)}
            self._settle(records.values())
        except Exception as error:
            return error
        else:
            return current
        finally:
            self._end()
            for each in attendants:
                each.notify()

    def _settle(self, records: Iterable[JobRecord]) -> None:
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


class _Rhythm:
    """When the next passes are due, in the clock's monotonic seconds."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._full_s = self._watch_s = self._soonest_watch_s = -math.inf
        self._interval_s = 0.0
        self._before: object = None
        self._outage = Outage(_log, "following jobs")
        self.intervals_s: Sequence[float | None] = ()

    def due(self, is_attended: bool, is_watched: bool) -> tuple[bool, bool]:
        """Whether a full pass is due, and one over the watched jobs."""
        now_s = self._core.clock.monotonic_s()
        return is_attended and now_s >= self._full_s, is_watched and now_s >= self._watch_s

    def left_s(self, is_attended: bool, is_watched: bool) -> float:
        """How many seconds are left until the next pass."""
        until_s = min(self._full_s if is_attended else math.inf, self._watch_s if is_watched else math.inf)
        return min(until_s - self._core.clock.monotonic_s(), _LONGEST_S)

    def arrive(self, waited_s: float) -> None:
        """Take a wait that was not cut short for its whole length, whatever the clock shows."""
        until_s = self._core.clock.monotonic_s() + waited_s
        self._full_s = -math.inf if self._full_s <= until_s else self._full_s
        self._watch_s = -math.inf if self._watch_s <= until_s else self._watch_s

    def hurry(self) -> None:
        """A new waiter came: do not make it wait longer than the provider's own pace."""
        self._watch_s = min(self._watch_s, self._soonest_watch_s)

    def plan(self, passed: Pass | Exception, *, is_full: bool, is_watch: bool) -> None:
        """Plan the next passes: at the provider's own pace after a change, more rarely while nothing changes."""
        now_s = self._core.clock.monotonic_s()
        if isinstance(passed, Exception):
            self._full_s = self._watch_s = self._soonest_watch_s = now_s + self._outage.failed(passed)
            return
        self._outage.succeeded()
        pace_s = min((self._pace_of(name) for name in {each.row.provider for each in passed.seen}), default=_PACE_S)
        if is_full:
            asked = [_PACE_S if each is None and not passed.seen else each or pace_s for each in self.intervals_s]
            self._full_s = now_s + min(*asked, self._lease_left_s()) if asked else now_s + pace_s
        if is_watch:
            seen = [(each.job.id, each.job.state, each.job.phase, each.job.progress) for each in passed.seen]
            slower_s = min(self._interval_s * _GROWTH, pace_s * _SLOWEST_FACTOR)
            self._interval_s = pace_s if seen != self._before else max(pace_s, slower_s)
            self._before = seen
            self._soonest_watch_s, self._watch_s = now_s + pace_s, now_s + self._interval_s

    def _pace_of(self, provider: str) -> float:
        try:
            return self._core.fleet.named(provider).capabilities().poll_interval_s
        except MediaBrokerError:
            return _PACE_S  # its job was submitted under other settings; the pass itself logs that

    def _lease_left_s(self) -> float:
        """Until an attempt that another process drives may be driven here: that process may be dead."""
        with self._core.store.read() as tx:
            ends = attempts.soonest_lease_end(tx)
        return math.inf if ends is None else max(_LEASE_LOOK_S, (ends - self._core.clock.now()).total_seconds())
