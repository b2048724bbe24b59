"""`Broker`: submit, follow, wait for, cancel, plan and prune jobs, on whatever provider runs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ALL_COMPLETED
from concurrent.futures import wait as wait_futures
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from typing_extensions import Self, TypeVar

from mediabroker.broker import prune as pruning
from mediabroker.broker.access import JobAccess
from mediabroker.broker.arguments import check_count, check_key, check_request, check_state, duration
from mediabroker.broker.attempt.choosing import choose
from mediabroker.broker.attempt.intent import intend
from mediabroker.broker.attempt.limits import Limits
from mediabroker.broker.attempt.submitting import submit
from mediabroker.broker.core import Core, Fleet
from mediabroker.broker.events.adopting import adopt
from mediabroker.broker.events.consuming import Consuming
from mediabroker.broker.job import Job
from mediabroker.broker.plan import Plan, plan
from mediabroker.clock import Clock
from mediabroker.config import BrokerSettings, load_settings
from mediabroker.errors import InvalidJobError, JobNotFoundError
from mediabroker.jobs import JobSpec
from mediabroker.refs import JobRef
from mediabroker.results import JobResult
from mediabroker.spi import CancelOutcome, ObjectStore, Provider, ProviderOptions
from mediabroker.states import JobState
from mediabroker.storage import Stores
from mediabroker.store import jobs, open_store
from mediabroker.store.time import StoreClock

__all__ = ["Broker", "Waited"]

R = TypeVar("R", bound=JobResult)

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED"]


class Waited(NamedTuple):
    """Which jobs have ended and which go on."""

    done: list[Job[Any]]
    not_done: list[Job[Any]]


class Broker(Consuming):
    """The one door to all providers. Thread-safe; the state is in the store, so any number of processes may share one.

    With no arguments it needs no account, no server and no file: the local provider, and SQLite in the user's data
    folder.

    Args:
        settings: what `load_settings` gives; default: the environment alone.
        providers: ready instances by name, instead of those that the settings name.
        stores: ready object stores by URI scheme, instead of those of plug-ins.
        clock: for tests; without one, the store's own time is used, so that all its processes agree.

    Raises:
        ConfigurationError: a wrong setting.
        StoreError: the store cannot be opened.
    """

    def __init__(
        self,
        settings: BrokerSettings | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
        stores: Mapping[str, ObjectStore] | None = None,
        clock: Clock | None = None,
    ) -> None:
        settings = settings or load_settings()
        store = open_store(settings.store, busy_timeout_s=settings.busy_timeout_s)
        core = Core(
            store=store,
            fleet=Fleet(settings, providers),
            stores=Stores(settings.stores, ready=stores),
            clock=clock or StoreClock(store),
            settings=settings,
        )
        super().__init__(core)
        self._access = JobAccess(core, self._watcher)

    @classmethod
    def from_config(cls, path: Path | str | None = None) -> Self:
        """The broker that `mediabroker.toml` describes; see `mediabroker.config` for where it is looked for."""
        return cls(load_settings(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching and let go of the store and the transports. Jobs go on."""
        self._core.mover.close()
        self._watcher.close()
        self._core.fleet.close()
        self._core.stores.close()
        self._core.store.close()

    @property
    def settings(self) -> BrokerSettings:
        """The settings that it was made with."""
        return self._core.settings

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The configured instances by name."""
        return self._core.fleet

    def submit(
        self,
        spec: JobSpec[R],
        *,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        idempotency_key: str | None = None,
        deadline: timedelta | float | None = None,
        queue_timeout: timedelta | float | None = None,
    ) -> Job[R]:
        """Start a job, exactly once in effect, also when this process dies at any moment.

        The same key with the same request gives the same job, from any process. A refusal by the provider is a job that
        has FAILED; an outcome that nobody knows yet is a job in SUBMITTING with a `hold_reason`.

        `deadline` and `queue_timeout` are kept by whoever follows the job, at its next look: the provider is asked to
        stop it, and what it has finished by then stands.

        Args:
            provider: an instance's name, or several in order: the next one follows when an attempt on the one before
                has failed for a reason that it need not share. Default: the route that fits, else all in configured
                order, of which the first that can run the job does.
            options: typed options of providers in play.
            idempotency_key: 1 to 256 printable characters; kept for 30 days after the job has ended.
            deadline: from now to the job's end, all attempts together; past it the job fails with `DEADLINE`. A job
                that the key finds keeps its own.
            queue_timeout: from a provider's acceptance to the start of the work; past it the attempt fails with
                `CAPACITY`, and the route's next provider follows.

        Raises:
            UnsupportedError: nobody can express the request, or stop a job that has a limit. Nothing was stored or
                sent.
            InvalidJobError: an argument is not what it should be, a limit is not longer than zero, the key is empty or
                too long, or a local input does not exist.
            IdempotencyConflictError: the key belongs to another request. Nothing was sent.
        """
        check_request(spec, provider, options)
        check_key(idempotency_key)
        limits = Limits(duration("deadline", deadline), duration("queue_timeout", queue_timeout))
        choice = choose(self._core, spec, among=provider, options=options, limits=limits)
        job = intend(self._core, spec, choice, limits, options=options, key=idempotency_key)
        return Job(self._access, submit(self._core, job, choice.provider))

    def run(
        self,
        spec: JobSpec[R],
        *,
        timeout: float | None = None,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        idempotency_key: str | None = None,
        deadline: timedelta | float | None = None,
        queue_timeout: timedelta | float | None = None,
    ) -> R:
        """Submit and wait: `submit(...).result(timeout)`."""
        job = self.submit(
            spec,
            provider=provider,
            options=options,
            idempotency_key=idempotency_key,
            deadline=deadline,
            queue_timeout=queue_timeout,
        )
        return job.result(timeout)

    def plan(
        self,
        spec: JobSpec[Any],
        *,
        provider: str | Sequence[str] | None = None,
        options: Sequence[ProviderOptions] = (),
        deadline: timedelta | float | None = None,
        queue_timeout: timedelta | float | None = None,
    ) -> Plan:
        """What `submit` would do: the choice, the rejections, and the literal calls. Nothing is stored or started."""
        check_request(spec, provider, options)
        limits = Limits(duration("deadline", deadline), duration("queue_timeout", queue_timeout))
        return plan(self._core, spec, among=provider, options=options, limits=limits)

    def retry(self, job: Job[R] | JobRef | str) -> Job[R]:
        """Start a new job from the spec of one that has failed or was cancelled; both name each other.

        It gets the same options, route and limits, and an idempotency key derived from the old one's id, so that a
        retry that is called twice is one job. Repeat with the new job to try once more.

        Raises:
            JobNotFoundError: there is no such job.
            InvalidJobError: it has not ended, it succeeded, or this process has no class for its spec.
            UnsupportedError: no provider can run it any more.
        """
        return Job(self._access, self._access.retry(job.id if isinstance(job, Job) else self.get(job).id))

    def get(self, ref: JobRef | str | None = None, *, key: str | None = None) -> Job[Any]:
        """The job with that id or reference, or with that idempotency key, as the store knows it.

        A full reference also finds a job that this store has never seen: the provider is asked for it.

        Raises:
            JobNotFoundError: neither the store nor the provider knows it.
            InvalidJobError: both or neither are given.
        """
        if (ref is None) == (key is None):
            raise InvalidJobError("get: give the job's id or reference, or key=, and not both")
        if key is not None:
            with self._core.store.read() as tx:
                holder = jobs.by_key(tx, key)
            if holder is None:
                raise JobNotFoundError(f"no job has the idempotency key {key!r} in {self._core.store.url}")
            return Job(self._access, holder)
        assert ref is not None
        parsed = JobRef.parse(ref) if isinstance(ref, str) and ref.startswith("job:") else ref
        job_id = parsed.job_id if isinstance(parsed, JobRef) else parsed
        try:
            return Job(self._access, self._access.record(job_id))
        except JobNotFoundError:
            if not isinstance(parsed, JobRef):
                raise
        adopt(self._core, parsed)
        return Job(self._access, self._access.record(job_id))

    def list(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        provider: str | None = None,
        label: tuple[str, str] | None = None,
        limit: int | None = None,
    ) -> Iterator[Job[Any]]:
        """The jobs of the store that match all that is given, newest first.

        Raises:
            InvalidJobError: there is no such state, or `limit` is no whole number from 1 on.
        """
        check_count("limit", limit)
        wanted = check_state(state)
        with self._core.store.read() as tx:
            found = list(jobs.search(tx, state=wanted, kind=kind, provider=provider, label=label, limit=limit))
        return (Job(self._access, record) for record in found)

    def wait(
        self, waited_for: Iterable[Job[Any]], *, timeout: float | None = None, return_when: ReturnWhen = ALL_COMPLETED
    ) -> Waited:
        """Wait for many jobs at once, as `concurrent.futures.wait` does: a timeout is no error here.

        Raises:
            BrokerClosedError: the broker was closed meanwhile; the jobs go on.
        """
        listed = {job.id: job for job in waited_for}
        futures = {self._access.future(job_id): job_id for job_id, job in listed.items() if not job.done()}
        if not (return_when != ALL_COMPLETED and len(futures) < len(listed)):
            wait_futures(futures, timeout, return_when)
        for future in futures:
            if not future.cancel():
                future.result()  # what was closed meanwhile says so
        done = [job for job in listed.values() if job.done()]
        return Waited(done, [job for job in listed.values() if job not in done])

    def cancel(self, job: Job[Any] | JobRef | str) -> CancelOutcome:
        """Ask the provider to stop a job; see `CancelOutcome` for what it may come to."""
        job_id = job.id if isinstance(job, Job) else self.get(job).id
        return self._access.cancel(job_id)

    def reconcile(self) -> None:
        """Bring every live job up to date once, and pick up what a crashed process has left. Safe to run from cron.

        Raises:
            ProviderError: a provider could not be asked; the others were.
        """
        errors = self._access.refresh()
        if errors:
            raise errors[0]

    def prune(self, older_than: timedelta | float) -> pruning.PruneReport:
        """Remove jobs that ended, and messages quarantined, longer ago than `older_than`; at the providers, too.

        A live job is never removed, nor one whose idempotency key must still be honoured, nor one with an event that a
        registered consumer has still to be given.

        Raises:
            InvalidJobError: `older_than` is no `timedelta`.
        """
        age = duration("older_than", older_than, longer_than=None)
        if age is None:
            raise InvalidJobError("older_than: None is no length of time; give seconds, or a timedelta")
        return pruning.prune(self._core, age)
