"""Threads for what copies bytes: one job's gigabytes keep nobody else waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock

from mediabroker.errors import MediaBrokerError

__all__ = ["Mover"]

_log = logging.getLogger(__name__)

_WORKERS = 4


class Mover:
    """At most one task per job at a time, on a few threads that are started when they are first needed."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[None]] = {}
        self._lock = Lock()
        self.closing = Event()
        """Set when the broker is closed; a copy looks at it between two chunks."""

    def start(self, job_id: str, work: Callable[[], None]) -> Future[None]:
        """Run `work` for that job, unless something runs for it already; the future of what runs."""
        with self._lock:
            running = self._running.get(job_id)
            if running is not None and not running.done():
                return running
            if self.closing.is_set():
                refused: Future[None] = Future()
                refused.set_exception(MediaBrokerError("the broker is closed; the copy is left to the next one"))
                return refused
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="mediabroker-move")
            future = self._pool.submit(work)
            self._running[job_id] = future
        future.add_done_callback(lambda done: self._ended(job_id, done))
        return future

    def close(self) -> None:
        """Stop at the next chunk."""
        self.closing.set()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _ended(self, job_id: str, done: Future[None]) -> None:
        with self._lock:
            if self._running.get(job_id) is done:
                del self._running[job_id]
        if not done.cancelled() and (error := done.exception()) is not None:
            level = logging.WARNING if isinstance(error, MediaBrokerError) else logging.ERROR
            _log.log(level, "copying stopped: %s", error, extra={"job": job_id})
