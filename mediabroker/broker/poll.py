"""One pass over live jobs: pick up half-submitted ones, query the others in batches, deliver what is done."""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mediabroker.broker import submit
from mediabroker.broker.core import Core
from mediabroker.broker.deliver import deliver
from mediabroker.broker.merge import merge
from mediabroker.errors import MediaBrokerError
from mediabroker.spi import Member, Observation
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs

__all__ = ["poll"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class _Live:
    """A job that the vendor works on, as far as a query needs to know it."""

    job_id: str
    provider: str
    members: tuple[Member, ...]
    vendor_done: bool


def poll(core: Core, ids: Sequence[str] | None = None) -> list[MediaBrokerError]:
    """Bring the jobs of `ids`, or all live ones, up to date. What one provider refuses never stops the others.

    Returns the errors met, for callers that want to raise them.
    """
    errors: list[MediaBrokerError] = []
    for job_id in _submitting(core, ids):
        with _collected(errors):
            submit.go_on(core, job_id)
    by_provider: dict[str, list[_Live]] = defaultdict(list)
    for each in _accepted(core, ids):
        by_provider[each.provider].append(each)
    for provider, listed in by_provider.items():
        with _collected(errors):
            _query(core, provider, [each for each in listed if not each.vendor_done])
    for each in _accepted(core, ids):
        if each.vendor_done:
            with _collected(errors):
                deliver(core, each.job_id)
    return errors


class _collected:  # noqa: N801  reads as a verb in `with`
    """Keeps an expected error for later instead of letting it stop the pass."""

    def __init__(self, errors: list[MediaBrokerError]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, MediaBrokerError):
            _log.warning("a provider could not be asked: %s", error)
            self._errors.append(error)
            return True
        return False


def _submitting(core: Core, ids: Sequence[str] | None) -> list[str]:
    with core.store.read() as tx:
        return [job.id for job in jobs.live(tx, ids) if job.state is JobState.SUBMITTING]


def _accepted(core: Core, ids: Sequence[str] | None) -> list[_Live]:
    with core.store.read() as tx:
        found = []
        for job in jobs.live(tx, ids):
            if job.state is JobState.SUBMITTING:
                continue
            attempt = attempts.latest(tx, job.id)
            members = tuple(each.status.member for each in attempts.members_of(tx, attempt, job.kind))
            found.append(_Live(job.id, attempt.provider, members, attempt.state is JobState.SUCCEEDED))
        return found


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
