"""One pass over live jobs: one snapshot, shared queries, answers merged as they come, one write of the changes."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.broker.attempt.delivering import deliver
from mediabroker.broker.attempt.staging import clear_ended
from mediabroker.broker.attempt.submitting import Submission, go_on
from mediabroker.broker.core import Core
from mediabroker.broker.following.merging import merge
from mediabroker.errors import MediaBrokerError, ProviderError, ThrottledError
from mediabroker.spi import CancelOutcome, Member, Observation
from mediabroker.states import JobState
from mediabroker.store import attempts, events

__all__ = ["Pass", "Suspects", "ask_to_stop"]

_log = logging.getLogger(__name__)

Suspects = set[tuple[str, str]]
"""Vendor jobs (provider, native id) whose query failed: they are queried alone, so that they hold up no other."""

_ASK_AGAIN = timedelta(minutes=1)
"""A request may be lost like any other message; a vendor that takes its time must not be asked at every pass."""
_IN_VAIN = 3
"""So many single queries may fail in a row before the provider counts as out of order for this pass."""


class Pass:
    """One pass over the live jobs of `ids`, or over all.

    Args:
        suspects: kept by the caller from one pass to the next.
        is_patient: whether `run` returns only when what had to be copied is; copies run on threads of their own.
    """

    def __init__(
        self,
        core: Core,
        ids: Sequence[str] | None = None,
        *,
        suspects: Suspects | None = None,
        is_patient: bool = True,
    ) -> None:
        self._core, self._ids, self._is_patient = core, ids, is_patient
        self._suspects: Suspects = suspects if suspects is not None else set()
        self._moving: list[tuple[str, Future[None]]] = []
        self._live: dict[str, Attempt] = {}
        self.errors: list[MediaBrokerError] = []
        """The errors met. One provider's failure never stops the others."""

    @property
    def seen(self) -> Sequence[Attempt]:
        """The jobs of this pass, as it left them."""
        return list(self._live.values())

    def run(self) -> Sequence[MediaBrokerError]:
        """Bring the jobs up to date; return the errors met."""
        self._load(self._ids)
        submitting = [each for each in self.seen if each.job.state is JobState.SUBMITTING]
        self._step(submitting, go_on)
        self._query()
        for each in self.seen:
            if _stop_due(each):
                with self._collected(each.row.provider):
                    ask_to_stop(each)
        self._step([each for each in self.seen if each.is_delivering], deliver)
        tried = {each.job.id for each in submitting}
        followed = [each for each in self.seen if each.job.state is JobState.SUBMITTING and each.job.id not in tried]
        self._step(followed, go_on)
        self._search_late()
        with self._collected("the store"):
            clear_ended(self._core, self._ids)
        return self.errors

    def _load(self, ids: Sequence[str] | None) -> None:
        with self._core.store.read() as tx:
            for loaded in attempts.load(tx, ids):
                self._live[loaded.job.id] = Attempt(self._core, loaded)

    def _step(self, chosen: Iterable[Attempt], step: Callable[[Core, str], None]) -> None:
        """Take a step with each; the jobs are read again afterwards."""
        ids = []
        for each in chosen:
            ids.append(each.job.id)
            if each.moves_bytes:
                moving = self._core.mover.start(each.job.id, partial(step, self._core, each.job.id))
                self._moving.append((each.row.provider, moving))
            else:
                with self._collected(each.row.provider):
                    step(self._core, each.job.id)
        while self._is_patient and self._moving:
            provider, moving = self._moving.pop()
            with self._collected(provider):
                moving.result()
        if ids:
            self._load(ids)

    def _query(self) -> None:
        """Query the vendors, with as few calls as their kinds of jobs allow."""
        asked: dict[str, list[tuple[Attempt, Member]]] = defaultdict(list)
        for attempt in self.seen:
            is_over = attempt.job.state.is_terminal and not attempt.job.inferred
            if attempt.job.state is not JobState.SUBMITTING and not attempt.is_delivering and not is_over:
                asked[attempt.row.provider] += [(attempt, each.status.member) for each in attempt.members]
        for name, pairs in asked.items():
            with self._collected(name):
                self._query_provider(name, pairs)

    def _query_provider(self, name: str, pairs: Sequence[tuple[Attempt, Member]]) -> None:
        """Query in batches; one that fails is taken apart, so that one vendor job holds up no other."""
        provider = self._core.fleet.named(name)
        size, groups = provider.capabilities().query_batch, defaultdict(list)
        alone = [pair for pair in pairs if (name, pair[1].native_id) in self._suspects]
        for pair in pairs:
            if (name, pair[1].native_id) not in self._suspects:
                groups[provider.query_group(pair[1])].append(pair)
        batches = [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]
        in_vain = 0
        for batch in batches:
            failed = self._query_once(name, batch)
            in_vain = in_vain + 1 if failed else 0
            if isinstance(failed, ThrottledError) or in_vain >= _IN_VAIN:
                return
            if failed and len({attempt.job.id for attempt, _ in batch}) > 1:
                alone += batch
        in_vain = 0
        for pair in alone:
            failed = self._query_once(name, [pair])
            in_vain = in_vain + 1 if failed else 0
            (self._suspects.add if failed else self._suspects.discard)((name, pair[1].native_id))
            if in_vain >= _IN_VAIN:  # the provider is out of order, not these jobs
                self._suspects -= {(name, member.native_id) for _, member in alone}
                return

    def _query_once(self, name: str, batch: Sequence[tuple[Attempt, Member]]) -> Exception | None:
        """One query, its answers merged; return the error that it met."""
        provider = self._core.fleet.named(name)
        try:
            answers = self._core.converse(name, provider.query([member for _, member in batch]))
            self._merge({attempt.job.id: attempt for attempt, _ in batch}, {each.native_id: each for each in answers})
        except CancelledError:
            raise
        except Exception as error:
            self._keep(error, name)
            return error
        return None

    def _merge(self, asked: Mapping[str, Attempt], seen: Mapping[str, Observation]) -> None:
        """Compare in memory, and write what changed: many jobs in one transaction, each read again inside it."""
        changed = [job_id for job_id, attempt in asked.items() if _is_news(attempt, seen)]
        if not changed:
            return
        written: list[Attempt] = []
        with self._core.store.write() as tx:
            for loaded in attempts.load(tx, changed):
                attempt = Attempt(self._core, loaded)
                for observation, outcome in merge(attempt, seen):
                    key = (attempt.row.job_id, attempt.row.number)
                    events.record_observation(tx, key, observation, outcome, self._core.clock.now())
                attempt.save(tx)
                written.append(attempt)
        self._live |= {attempt.job.id: attempt for attempt in written}
        if followed := [attempt.job.id for attempt in written if attempt.is_followed]:
            self._load(followed)

    def _search_late(self) -> None:
        now = self._core.clock.now()
        for each in self.seen:
            if each.row.late_search_at is not None and each.row.late_search_at <= now:
                with self._collected(each.row.provider):
                    Submission(each).search_late()
                    with self._core.store.write() as tx:
                        each.save(tx)

    @contextmanager
    def _collected(self, provider: str) -> Iterator[None]:
        """Keep an error instead of letting it stop the pass; a provider's defect becomes an error of its own."""
        try:
            yield
        except CancelledError:
            raise  # the broker is being closed
        except Exception as error:
            self._keep(error, provider)

    def _keep(self, error: Exception, provider: str) -> None:
        if isinstance(error, MediaBrokerError):
            _log.warning("%s could not be queried: %s", provider, error)
            self.errors.append(error)
            return
        _log.error("%s has failed", provider, exc_info=error, extra={"provider": provider})
        defect = ProviderError(f"{provider} has failed: {type(error).__name__}: {error}", provider=provider)
        defect.__cause__ = error
        self.errors.append(defect)


def _is_news(attempt: Attempt, seen: Mapping[str, Observation]) -> bool:
    kept = merge(attempt, seen)
    return bool(kept) or attempt.is_changed


def _stop_due(attempt: Attempt) -> bool:
    """Whether the provider is to be asked now: the vendor works on the attempt, and has not just been asked."""
    is_at_vendor = attempt.job.state in (JobState.QUEUED, JobState.RUNNING) and not attempt.is_delivering
    asked_at = attempt.row.stop_asked_at
    just_asked = asked_at is not None and attempt.core.clock.now() - asked_at < _ASK_AGAIN
    return is_at_vendor and not just_asked and attempt.stop_wanted


def ask_to_stop(attempt: Attempt) -> CancelOutcome:
    """Ask the provider once. A cancel that the provider cannot carry out is taken back: no caller shall wait for it.

    Not one that it has accepted before: a vendor that is stopping may well refuse to be asked a second time.

    Raises:
        ProviderError: it cannot be asked now; the next pass asks again.
    """
    core, members = attempt.core, [each.status.member for each in attempt.members]
    outcome = core.converse(attempt.row.provider, attempt.provider.cancel(members))
    with core.store.write() as tx:
        loaded = attempts.load_one(tx, attempt.job.id)
        if loaded is None or loaded.attempts[-1].number != attempt.row.number:
            return CancelOutcome.TOO_LATE
        current = Attempt(core, loaded)
        if outcome is CancelOutcome.UNSUPPORTED and current.row.stop_asked_at is None:
            current.change_job(cancel_requested_at=None)
        else:
            current.change(stop_asked_at=core.clock.now())
            outcome = CancelOutcome.REQUESTED if outcome is CancelOutcome.UNSUPPORTED else outcome
        current.save(tx)
    return outcome
