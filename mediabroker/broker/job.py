"""What a caller holds of a job: what was last seen of it (`JobView`), and the handle that acts on it (`Job`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, cast

from pydantic import JsonValue
from typing_extensions import Self, TypeVar

from mediabroker.broker.access import JobAccess
from mediabroker.errors import ErrorCode, JobError, JobFailedError
from mediabroker.events import JobEvent
from mediabroker.jobs import JobSpec
from mediabroker.refs import JobRef
from mediabroker.results import Frames, JobResult, Transfer
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState
from mediabroker.store.records import JobRecord

__all__ = ["Attempt", "Job", "JobView"]

R_co = TypeVar("R_co", bound=JobResult, covariant=True, default=JobResult)


@dataclass(frozen=True)
class Attempt:
    """One try of a job on one provider."""

    number: int
    provider: str
    state: JobState
    error: JobError | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class VendorCall:
    """One call that an attempt's submission has made: the request and the vendor's whole answer, as they were."""

    attempt: int
    operation: str
    step: str
    params: Mapping[str, JsonValue]
    reply: Mapping[str, JsonValue] | None
    error: Mapping[str, JsonValue] | None
    sends: int


class JobView(Generic[R_co]):
    """A job as this process last saw it: attributes read the last look.

    Only `ref` and `attempts` read the store, and none asks the provider.
    """

    def __init__(self, access: JobAccess, record: JobRecord) -> None:
        self.access = access
        self.record = record

    def __eq__(self, other: object) -> bool:
        """Handles of one job are equal, whatever each has seen of it."""
        return isinstance(other, JobView) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.kind} {self.state}>"

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def kind(self) -> str:
        return self.record.kind

    @property
    def spec(self) -> JobSpec[R_co] | None:
        """What was asked for; None for a job taken over by its reference alone."""
        return self.record.spec

    @property
    def state(self) -> JobState:
        return self.record.state

    @property
    def phase(self) -> str | None:
        """The provider's own word for where the job is, or ours while it submits and delivers."""
        return self.record.phase

    @property
    def progress(self) -> float | None:
        """From 0 to 1, never backwards; None while nobody can tell."""
        return self.record.progress

    @property
    def frames(self) -> Frames | None:
        return self.record.frames

    @property
    def transfer(self) -> Transfer | None:
        """How far the broker's own copying is, while it stages the input or delivers the output."""
        return self.record.transfer

    @property
    def error(self) -> JobError | None:
        return self.record.error

    @property
    def hold_reason(self) -> str | None:
        """Why the job does not go on by itself, where that is so."""
        return self.record.hold_reason

    @property
    def inferred(self) -> bool:
        """The end was concluded from silence; vendor evidence may still correct it."""
        return self.record.inferred

    @property
    def cancel_requested(self) -> bool:
        return self.record.cancel_requested_at is not None

    @property
    def deadline_at(self) -> datetime | None:
        """When it is to have ended; None without a deadline."""
        return self.record.deadline_at

    @property
    def queue_timeout(self) -> timedelta | None:
        """How long a provider may take to begin it; None for as long as it likes."""
        return None if self.record.queue_timeout_s is None else timedelta(seconds=self.record.queue_timeout_s)

    @property
    def created_at(self) -> datetime:
        return self.record.created_at

    @property
    def finished_at(self) -> datetime | None:
        return self.record.finished_at

    @property
    def user_data(self) -> Any:
        return self.record.user_data

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.record.spec.labels) if self.record.spec else {}

    @property
    def ref(self) -> JobRef:
        """All that another process on another host needs to find this job."""
        return self.access.attempt(self.id).ref

    @property
    def retry_of(self) -> str | None:
        """Id of the job that this one retries."""
        return self.record.retry_of

    @property
    def retried_by(self) -> tuple[str, ...]:
        """Ids of the jobs that retry this one, oldest first."""
        return self.access.retried_by(self.id)

    @property
    def raw(self) -> JsonValue:
        """The vendor's own last word on the job."""
        return self.access.attempt(self.id).raw

    @property
    def calls(self) -> tuple[VendorCall, ...]:
        """The calls of all submissions in order, with every field of the vendor's answers."""
        return tuple(
            VendorCall(number, each.operation, each.step, each.params, each.reply, each.error, each.sends)
            for number, each in self.access.calls(self.id)
        )

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        attempt = self.access.attempt(self.id)
        return tuple(
            Attempt(each.number, each.provider, each.state, each.error, each.started_at, each.ended_at)
            for each in (*attempt.earlier, attempt.row)
        )

    def _read(self) -> JobRecord:
        self.record = self.access.record(self.id)
        return self.record

    def _failure(self) -> JobFailedError | None:
        if self.state is JobState.SUCCEEDED:
            return None
        error = self.error or JobError.of(ErrorCode.UNKNOWN, "the provider gave no reason")
        return JobFailedError(error, ref=str(self.ref), result=self.record.result)

    def _outcome(self) -> R_co:
        error = self._failure()
        if error is not None:
            raise error
        return cast("R_co", self.record.result)


class Job(JobView[R_co]):
    """The handle of a job: the words of `concurrent.futures.Future`, plus what jobs need.

    `refresh()` asks the provider; `done()` and `events()` ask the store.
    """

    def done(self) -> bool:
        """Whether the job has ended, by the store's word."""
        return self._read().state.is_terminal

    def cancelled(self) -> bool:
        return self._read().state is JobState.CANCELLED

    def refresh(self) -> Self:
        """Ask the provider now.

        Raises:
            ProviderError: it cannot be asked.
        """
        errors = self.access.refresh([self.id])
        self._read()
        if errors and not self.state.is_terminal:
            raise errors[0]
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Return when the job has ended, however it ended.

        Raises:
            TimeoutError: it has not within `timeout` seconds; the job goes on untouched.
            BrokerClosedError: the broker was closed meanwhile; the job goes on.
        """
        if not self._read().state.is_terminal:
            self.record = _awaited(self.access.future(self.id), timeout, self.id)
        return self

    def result(self, timeout: float | None = None) -> R_co:
        """The result once the job has succeeded.

        Raises:
            JobFailedError: it failed or was cancelled; `.error` says why, `.result` holds what exists.
            TimeoutError: it has not ended within `timeout` seconds; the job goes on untouched.
            BrokerClosedError: the broker was closed meanwhile; the job goes on.
        """
        self.wait(timeout)
        return self._outcome()

    def exception(self, timeout: float | None = None) -> JobFailedError | None:
        """What `result()` would raise for a job that has failed; None for one that has succeeded."""
        self.wait(timeout)
        return self._failure()

    def retry(self) -> Job[R_co]:
        """Start a new job from this one's spec; see `Broker.retry`."""
        return Job(self.access, self.access.retry(self.id))

    def cancel(self) -> CancelOutcome:
        """Ask the provider to stop the job; durable, repeatable, and honest about what it came to."""
        return self.access.cancel(self.id)

    def events(self, *, follow: bool = True) -> Iterator[JobEvent]:
        """The job's events from its first on, in order; with `follow`, up to the one that ends it.

        Raises:
            BrokerClosedError: the broker was closed before that one came.
        """
        for each in self.access.events(self.id, follow=follow):
            if isinstance(each, Future):
                each.result()
            else:
                yield each


def _awaited(future: Future[JobRecord], timeout: float | None, job_id: str) -> JobRecord:
    try:
        return future.result(timeout)
    except FutureTimeoutError:
        future.cancel()
        raise TimeoutError(f"job {job_id} has not ended within {timeout:g} s; it goes on") from None
    except BaseException:
        future.cancel()
        raise
