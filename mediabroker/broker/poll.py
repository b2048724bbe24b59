"""One pass over live jobs: pick up half-submitted ones, query the others in batches, deliver what is done."""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from mediabroker.broker import submit
from mediabroker.broker.core import Core
from mediabroker.broker.deliver import deliver
from mediabroker.broker.merge import merge
from mediabroker.broker.stage import clear_ended
from mediabroker.broker.stop import ask_to_stop, stop_due
from mediabroker.errors import MediaBrokerError, ProviderError
from mediabroker.spi import Member, Observation
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["poll"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class _Live:
    """A live job, as far as a pass needs to know it."""

    job_id: str
    attempt: AttemptRecord
    state: JobState
    members: tuple[Member, ...]
    vendor_done: bool
    stop_due: bool
    moves_bytes: bool
    """Whether its next step copies an input or an output."""


class _Pass:
    """One pass. What copies bytes runs on threads of its own, and `errors` are those met."""

    def __init__(self, core: Core, ids: Sequence[str] | None) -> None:
        self._core = core
        self._ids = ids
        self._moving: list[tuple[str, Future[None]]] = []
        self.errors: list[MediaBrokerError] = []

    def live(self) -> list[_Live]:
        now = self._core.clock.now()
        with self._core.store.read() as tx:
            return [_described(tx, job, now) for job in jobs.live(tx, self._ids)]

    def submit(self, listed: Iterable[_Live]) -> None:
        """Go on with what is still to be submitted."""
        for each in listed:
            if each.state is JobState.SUBMITTING:
                self._step(each, submit.go_on)

    def query(self, listed: Sequence[_Live]) -> None:
        """Ask the vendors for what they work on, in batches."""
        by_provider: dict[str, list[_Live]] = defaultdict(list)
        for each in listed:
            if each.state is not JobState.SUBMITTING and not each.vendor_done:
                by_provider[each.attempt.provider].append(each)
        for provider, asked in by_provider.items():
            with _collected(self.errors, provider):
                _query(self._core, provider, asked)

    def stop(self, listed: Iterable[_Live]) -> None:
        """Ask the vendors to stop what is to end: the caller has said so while it was submitted, or a limit passed."""
        for each in listed:
            if each.stop_due:
                with _collected(self.errors, each.attempt.provider):
                    ask_to_stop(self._core, each.attempt, each.members)

    def deliver(self, listed: Iterable[_Live]) -> None:
        for each in listed:
            if each.state is not JobState.SUBMITTING and each.vendor_done:
                self._step(each, deliver)

    def wait(self) -> None:
        """Until all that was begun to be copied is."""
        while self._moving:
            provider, moving = self._moving.pop()
            with _collected(self.errors, provider):
                moving.result()

    def _step(self, job: _Live, step: Callable[[Core, str], None]) -> None:
        if job.moves_bytes:
            moving = self._core.mover.start(job.job_id, partial(step, self._core, job.job_id))
            self._moving.append((job.attempt.provider, moving))
            return
        with _collected(self.errors, job.attempt.provider):
            step(self._core, job.job_id)


def poll(core: Core, ids: Sequence[str] | None = None, *, patient: bool = True) -> list[MediaBrokerError]:
    """Bring the jobs of `ids`, or all live ones, up to date. What one provider refuses never stops the others.

    Args:
        patient: return when what had to be copied is; without, such jobs go on meanwhile.

    Returns:
        The errors met, for callers that want to raise them.
    """
    run = _Pass(core, ids)
    begun = run.live()
    run.submit(begun)
    run.query(run.live())
    seen = run.live()
    run.stop(seen)
    run.deliver(seen)
    if patient:
        run.wait()
    held = {each.job_id for each in begun if each.state is JobState.SUBMITTING}
    run.submit(each for each in run.live() if each.job_id not in held)  # an attempt that follows a failed one
    if patient:
        run.wait()
    clear_ended(core, ids)
    return run.errors


class _collected:  # noqa: N801  reads as a verb in `with`
    """Keeps an error for later instead of letting it stop the pass; a provider's defect becomes an error of its own."""

    def __init__(self, errors: list[MediaBrokerError], provider: str) -> None:
        self._errors, self._provider = errors, provider

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, MediaBrokerError):
            _log.warning("a provider could not be asked: %s", error)
            self._errors.append(error)
            return True
        if isinstance(error, Exception) and not isinstance(error, CancelledError):  # that is a broker being closed
            _log.error("a provider has failed", exc_info=error, extra={"provider": self._provider})
            self._errors.append(_defect(error, self._provider))
            return True
        return False


def _defect(error: Exception, provider: str) -> ProviderError:
    failure = ProviderError(f"{provider} has failed: {type(error).__name__}: {error}", provider=provider)
    failure.__cause__ = error
    return failure


def _described(tx: Connection, job: JobRecord, now: datetime) -> _Live:
    attempt = attempts.latest(tx, job.id)
    submitting, vendor_done = job.state is JobState.SUBMITTING, attempt.state is JobState.SUCCEEDED
    members = () if submitting else attempts.members_of(tx, attempt, job.kind)
    staging = submitting and attempt.placement.input is not None and attempt.staged_at is None
    return _Live(
        job_id=job.id,
        attempt=attempt,
        state=job.state,
        members=tuple(each.status.member for each in members),
        vendor_done=vendor_done,
        stop_due=stop_due(job, attempt, now),
        moves_bytes=staging or (vendor_done and attempt.placement.output is not None),
    )


def _query(core: Core, name: str, listed: Sequence[_Live]) -> None:
    provider = core.fleet.named(name)
    members = [member for each in listed for member in each.members]
    seen: dict[str, Observation] = {}
    for batch in _batches(members, provider.capabilities().query_batch):
        answers = core.converse(name, provider.query(batch))
        seen.update({observation.native_id: observation for observation in answers})
    for each in listed:
        merge(
            core,
            each.job_id,
            {member.native_id: seen[member.native_id] for member in each.members if member.native_id in seen},
        )


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
