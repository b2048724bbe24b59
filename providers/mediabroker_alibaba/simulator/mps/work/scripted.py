"""An executor for tests: jobs end as they were told to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from mediabroker_alibaba.simulator.mps.jobs import Job, Outcome

__all__ = ["ScriptedExecutor"]


@dataclass
class ScriptedExecutor:
    """Jobs succeed at once unless `decide` says how they end; None leaves them running until `release`. Thread-safe."""

    decide: Callable[[Job], Outcome | None] = lambda _: Outcome()
    started: list[Job] = field(default_factory=list)
    """Every job so far, in order."""
    _held: dict[str, Future[Outcome]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def start(self, job: Job) -> Future[Outcome]:
        outcome: Future[Outcome] = Future()
        with self._lock:
            self.started.append(job)
            decided = self.decide(job)
            if decided is None:
                self._held[job.id] = outcome
            else:
                outcome.set_result(decided)
        return outcome

    def release(self, outcome: Outcome | None = None) -> None:
        """End every job that was left running."""
        with self._lock:
            held, self._held = self._held, {}
        for each in held.values():
            each.set_result(outcome or Outcome())

    def close(self) -> None:
        self.release(Outcome("InternalError", "the simulator stopped"))
