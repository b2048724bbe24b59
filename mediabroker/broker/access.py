"""What the handles of jobs work with: the store's record, the providers' answers, the loop that follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.broker.attempt.choosing import choose, parse_options
from mediabroker.broker.attempt.intent import intend
from mediabroker.broker.attempt.limits import Limits
from mediabroker.broker.attempt.submitting import submit
from mediabroker.broker.core import Core
from mediabroker.broker.following import job_events
from mediabroker.broker.following.cancelling import cancel
from mediabroker.broker.following.passing import Pass
from mediabroker.broker.following.watching import Watcher
from mediabroker.errors import InvalidJobError, JobNotFoundError, MediaBrokerError
from mediabroker.events import JobEvent
from mediabroker.flows import Entry
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.records import JobRecord

__all__ = ["JobAccess"]


class JobAccess:
    """One broker's way to its jobs. Internal: applications use `Broker` and `Job`."""

    def __init__(self, core: Core, watcher: Watcher) -> None:
        self._core, self._watcher = core, watcher

    def record(self, job_id: str) -> JobRecord:
        """Return the job as stored.

        Raises:
            JobNotFoundError: the store does not hold it.
        """
        with self._core.store.read() as tx:
            record = jobs.by_id(tx, job_id)
        if record is None:
            raise JobNotFoundError(f"no job {job_id!r} in {self._core.store.url}")
        return record

    def attempt(self, job_id: str) -> Attempt:
        """Return the job's latest attempt, with those before it."""
        with self._core.store.read() as tx:
            loaded = attempts.load_one(tx, job_id)
        if loaded is None:
            raise JobNotFoundError(f"no job {job_id!r} in {self._core.store.url}")
        return Attempt(self._core, loaded)

    def calls(self, job_id: str) -> Sequence[tuple[int, Entry]]:
        """Return the journalled calls of all attempts, each with its attempt's number."""
        with self._core.store.read() as tx:
            return attempts.entries_of(tx, job_id)

    def refresh(self, ids: Sequence[str] | None = None) -> Sequence[MediaBrokerError]:
        """Query the providers for the live jobs of `ids`, or all; return the errors met."""
        return Pass(self._core, ids).run()

    def future(self, job_id: str) -> Future[JobRecord]:
        """Return a future that is done when the job has ended; see `Watcher.future`."""
        return self._watcher.future(job_id)

    def events(self, job_id: str, *, follow: bool) -> Iterator[JobEvent | Future[None]]:
        """Return the job's events; a future between them is to be waited for before the next is asked for."""
        if follow:
            return job_events.follow(self._core, self._watcher, job_id)
        return job_events.so_far(self._core, job_id)

    def cancel(self, job_id: str) -> CancelOutcome:
        """Request the end of a job; see `Broker.cancel`."""
        return cancel(self._core, job_id)

    def retry(self, job_id: str) -> JobRecord:
        """Start a new job from the spec of one that has failed or was cancelled; see `Broker.retry`."""
        old = self.record(job_id)
        if old.state not in (JobState.FAILED, JobState.CANCELLED):
            raise InvalidJobError(f"job {old.id} is {old.state}; only one that has FAILED or was CANCELLED is retried")
        if old.spec is None:
            raise InvalidJobError(f"job {old.id}: its spec is not known here, so it cannot be retried")
        limits = Limits(
            old.deadline_at - old.created_at if old.deadline_at else None,
            timedelta(seconds=old.queue_timeout_s) if old.queue_timeout_s else None,
        )
        options = [parse_options(self._core.fleet, each) for each in old.options]
        among = [name for name in old.route.providers if name in self._core.fleet] or None
        choice = choose(self._core, old.spec, among=among, options=options, limits=limits)
        key = f"retry-of-{old.id}"
        fresh = intend(self._core, old.spec, choice, limits, options=options, key=key, retry_of=old.id)
        return submit(self._core, fresh, choice.provider)

    def retried_by(self, job_id: str) -> tuple[str, ...]:
        """Return the ids of the jobs that retry this one, oldest first."""
        with self._core.store.read() as tx:
            return tuple(jobs.retries_of(tx, job_id))
