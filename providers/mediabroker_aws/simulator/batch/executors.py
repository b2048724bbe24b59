"""What runs the attempts of simulated jobs: a script that tests write. Real processes are in `processes`."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

__all__ = ["HOLD", "SPOT_LOSS", "Executor", "Exited", "Run", "ScriptedExecutor", "Task"]

_TERMINATED = 143
_KILLED = 137
_ESSENTIAL = "Essential container in task exited"


@dataclass(frozen=True)
class Task:
    """One attempt of one job. `index` is the child's place in its array, `attempt` counts from 1."""

    job_id: str
    job_name: str
    attempt: int
    index: int | None
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Exited:
    """How an attempt ended: the container's exit code (None: it never had one), its reason, and the job's."""

    exit_code: int | None = 0
    reason: str | None = None
    status_reason: str = _ESSENTIAL


HOLD = None
"""A scripted attempt that runs until it is stopped."""
SPOT_LOSS = Exited(None, None, "Host EC2 (instance i-0123456789abcdef0) terminated.")
"""Source: AWS Batch User Guide, "Automated job retries"."""


class Run(Protocol):
    """A running attempt."""

    def poll(self) -> Exited | None:
        """How it ended, or None while it runs."""
        ...

    def terminate(self) -> None:
        """Ask it to end, as SIGTERM does."""
        ...

    def kill(self) -> None:
        """End it, as SIGKILL does."""
        ...


class Executor(Protocol):
    """Starts attempts."""

    def start(self, task: Task) -> Run: ...


@dataclass
class _Scripted:
    """An attempt that ends as its script says, at the first look."""

    outcome: Exited | None
    stubborn: bool
    done: Callable[[], None]

    def poll(self) -> Exited | None:
        if self.outcome is not None:
            self.done()
        return self.outcome

    def terminate(self) -> None:
        if not self.stubborn:
            self.outcome, self.done = Exited(_TERMINATED), _nothing

    def kill(self) -> None:
        self.outcome, self.done = Exited(_KILLED), _nothing


def _nothing() -> None:
    return None


@dataclass
class ScriptedExecutor:
    """Attempts end as they were told to; without a word, with exit code 0.

    Args:
        on_success: called once for each attempt that ends with exit code 0, before anybody sees it.
        stubborn: attempts do not heed SIGTERM.
    """

    on_success: Callable[[Task], None] | None = None
    stubborn: bool = False
    started: list[Task] = field(default_factory=list)
    """Every attempt so far, in order."""
    _scripts: list[tuple[str, int | None, Sequence[Exited | None]]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def script(self, job_name: str, *outcomes: Exited | None, index: int | None = None) -> None:
        """How the attempts of jobs of that name (a glob) end, one after the other; the last outcome is kept.

        `index` chooses one child of an array. The script added last wins.
        """
        with self._lock:
            self._scripts.insert(0, (job_name, index, outcomes))

    def start(self, task: Task) -> Run:
        with self._lock:
            self.started.append(task)
            outcome = self._outcome(task)
        succeeds = outcome is not None and outcome.exit_code == 0 and self.on_success is not None
        return _Scripted(outcome, self.stubborn, (lambda: self._succeed(task)) if succeeds else _nothing)

    def _outcome(self, task: Task) -> Exited | None:
        for name, index, outcomes in self._scripts:
            if fnmatch.fnmatchcase(task.job_name, name) and index in (None, task.index):
                return outcomes[min(task.attempt, len(outcomes)) - 1]
        return Exited()

    def _succeed(self, task: Task) -> None:
        if self.on_success is not None:
            self.on_success(task)
