"""The events of one job from the first on, as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from mediabroker.broker.core import Core
from mediabroker.broker.following.watching import Watcher
from mediabroker.errors import JobNotFoundError
from mediabroker.events import JobEvent
from mediabroker.store import events, jobs

__all__ = ["follow", "so_far"]


def so_far(core: Core, job_id: str) -> Iterator[JobEvent]:
    """Those that are there."""
    with core.store.read() as tx:
        told = events.events_after(tx, job_id)
    yield from told


def follow(core: Core, watcher: Watcher, job_id: str) -> Iterator[JobEvent | Future[None]]:
    """Up to the one that ends the job; where none is left, a future to wait for before the next is asked for.

    So no thread has to wait here: a coroutine awaits the future.

    Raises:
        BrokerClosedError: the broker is closed; where it is closed later, that is the future's error.
        JobNotFoundError: the store knows the job no longer.
    """
    sequence = 0
    with watcher.following(job_id):
        while True:
            seen = watcher.passes
            told, ended = _look(core, job_id, sequence)
            for event in told:
                sequence = event.sequence
                yield event
            if ended:
                return
            yield watcher.pass_after(seen)


def _look(core: Core, job_id: str, sequence: int) -> tuple[Sequence[JobEvent], bool]:
    """What is told after `sequence`, and whether that is all: the end is looked for first, so that it is not missed."""
    with core.store.read() as tx:
        job = jobs.by_id(tx, job_id)
        if job is None:
            raise JobNotFoundError(f"job {job_id} is no longer in the store")
        return events.events_after(tx, job_id, sequence), job.state.is_terminal
