"""What moves jobs: from their pipeline to whoever does the work, and from there to their end and its callback."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import timedelta
from threading import Event, Thread
from time import monotonic

from mediabroker_alibaba.simulator.ledger import Accepted
from mediabroker_alibaba.simulator.mps.jobs import Executor, Job, Outcome
from mediabroker_alibaba.simulator.mps.messages import post_message
from mediabroker_alibaba.simulator.mps.state import Shelf, State
from mediabroker_alibaba.simulator.seams import Queues
from mediabroker_alibaba.simulator.world import World

__all__ = ["Engine"]

_log = logging.getLogger(__name__)
_SYNCHRONOUS_S = 60.0


class Engine:
    """Moves the jobs of all accounts, one step when told or by itself. Thread-safe.

    Attributes:
        queue_s: how long a job waits at least, by the simulated clock.
        work_s: how long it runs at least.
        plain_messages: post callbacks as bare JSON instead of its Base64.
    """

    def __init__(self, world: World, state: State, executor: Executor, queues: Queues) -> None:
        self._world, self._state, self._executor, self._queues = world, state, executor, queues
        self.queue_s = self.work_s = 0.0
        self.plain_messages = False
        self._open: dict[str, tuple[Shelf, Job]] = {}
        self._futures: dict[str, Future[Outcome]] = {}
        self._wake = Event()
        self._pump: Thread | None = None

    def submit(self, shelf: Shelf, job: Job, action: str) -> None:
        """From here on the job exists."""
        with self._state.lock:
            shelf.jobs[job.id] = job
            self._open[job.id] = shelf, job
            self._world.ledger.append(
                Accepted(job.created_at, job.account, job.region, action, job.id, dict(job.request))
            )
        self._wake.set()

    def run_now(self, shelf: Shelf, job: Job) -> None:
        """Start a job past its pipeline and wait for its end, as MPS does for synchronous requests."""
        with self._state.lock:
            future = self._start(job) if job.state == "waiting" else self._futures.get(job.id)
        if future is not None and not wait([future], _SYNCHRONOUS_S).not_done:
            with self._state.lock:
                self._finish(shelf, job)

    def cancel(self, job: Job) -> None:
        """End a job that waits."""
        with self._state.lock:
            job.state, job.finished_at = "cancelled", self._world.clock.now()
            del self._open[job.id]

    def step(self) -> int:
        """End the jobs whose work is done, start those whose turn it is; how many of them moved."""
        with self._state.lock:
            ended = [(shelf, job) for shelf, job in self._open.values() if self._is_done(job)]
            for shelf, job in ended:
                self._finish(shelf, job)
            started = self._next()
            for job in started:
                self._start(job)
        return len(ended) + len(started)

    def settle(self, timeout_s: float = 60.0) -> None:
        """Step, and let simulated time pass, until nothing moves any more: every job has ended or is paused.

        Raises:
            TimeoutError: some still run after `timeout_s` of real time.
        """
        end_s = monotonic() + timeout_s
        while True:
            if self.step():
                continue
            with self._state.lock:
                running = [job for _, job in self._open.values() if job.state == "running"]
                futures = [self._futures[job.id] for job in running if not self._futures[job.id].done()]
                can_start = bool(self._next(at_once=True))
            if not running and not can_start:
                return
            if monotonic() > end_s:
                raise TimeoutError(f"still running: {', '.join(job.id for job in running)}")
            if futures:
                wait(futures, max(0.0, end_s - monotonic()), FIRST_COMPLETED)
            else:
                self._world.clock.advance(max(self.queue_s, self.work_s, 0.001))

    def pump(self, every_s: float) -> None:
        """Step by itself from now on: when a job comes or ends, and every so many seconds."""
        self._pump = Thread(target=self._keep_stepping, args=(every_s,), name="simulated MPS", daemon=True)
        self._pump.start()

    def close(self) -> None:
        """Stop moving, and stop what still runs. The world's `stopping` must be set."""
        self._wake.set()
        if self._pump is not None:
            self._pump.join()
        self._executor.close()

    def _keep_stepping(self, every_s: float) -> None:
        while not self._world.stopping.is_set():
            self._wake.wait(every_s)
            self._wake.clear()
            while self.step() and not self._world.stopping.is_set():
                pass

    def _next(self, *, at_once: bool = False) -> list[Job]:
        """The jobs that may start: those of higher priority first, then the older."""
        jobs, chosen = list(self._open.values()), []
        busy = Counter(job.pipeline_id for _, job in jobs if job.state == "running")
        due = self._world.clock.now() - timedelta(seconds=0 if at_once else self.queue_s)
        waiting = [each for each in jobs if each[1].state == "waiting" and (at_once or each[1].created_at <= due)]
        for shelf, job in sorted(waiting, key=lambda each: (-each[1].priority, each[1].created_at)):
            pipeline = shelf.pipelines[job.pipeline_id]
            if pipeline.state == "Active" and busy[pipeline.id] < pipeline.concurrency:
                busy[pipeline.id] += 1
                chosen.append(job)
        return chosen

    def _start(self, job: Job) -> Future[Outcome]:
        job.state, job.started_at = "running", self._world.clock.now()
        future = self._futures[job.id] = self._executor.start(job)
        future.add_done_callback(lambda _: self._wake.set())
        return future

    def _is_done(self, job: Job) -> bool:
        if job.started_at is None:
            return False
        due = job.started_at + timedelta(seconds=self.work_s)
        return self._futures[job.id].done() and self._world.clock.now() >= due

    def _finish(self, shelf: Shelf, job: Job) -> None:
        if job.has_ended:
            return
        future = self._futures.pop(job.id)
        del self._open[job.id]
        failure = future.exception()
        if failure is not None:
            _log.error("the executor failed at job %s", job.id, exc_info=failure)
            job.outcome = Outcome("InternalError", f"the simulator failed: {failure}")
        else:
            job.outcome = future.result()
        job.state = "succeeded" if job.outcome.ok else "failed"
        job.finished_at = self._world.clock.now()
        job.message = post_message(job, shelf.pipelines[job.pipeline_id], self._queues, plain=self.plain_messages)
