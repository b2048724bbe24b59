"""The super-resolution service without its HTTP: takes orders, tells of jobs, stops them.

It keeps nothing in memory. A job's id is derived from the caller and the idempotency key; without a key, from the
caller, the request and the version of the source, so that a client which repeats itself gets the job that it has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from threading import Event
from typing import Any, TypeVar

from mediabroker.clock import Clock, SystemClock
from mediabroker.errors import (
    ErrorCode,
    IdempotencyConflictError,
    JobError,
    JobNotFoundError,
    MediaError,
    ProviderError,
)
from mediabroker.flows.engine import HoldError, StopRequestedError
from mediabroker.objects import ObjectJournal, ObjectStore
from mediabroker.refs import JobRef, MemberRef
from mediabroker.results import Output
from mediabroker.spi import CancelOutcome, Flow, Member, MemberStatus, Observation, Transport, drive
from mediabroker.states import JobState
from mediabroker_aws.batch.provider import BatchChain
from mediabroker_aws.functions.upscale.ledger import Ledger, OvertakenError, Ticket, derive_id
from mediabroker_aws.functions.upscale.order import Order, check_picture
from mediabroker_aws.functions.upscale.settings import UpscaleSettings
from mediabroker_aws.functions.upscale.vendor import BatchVendor, is_throttled, open_journal, submit, with_retries
from mediabroker_aws.s3.store import S3Store
from mediabroker_aws.service.wire import JobView

__all__ = ["UpscaleJobs"]

T = TypeVar("T")

_LOOKS, _PAUSE_S = 12, 0.4
_RUNS = range(1, 101)
"""How often the same request for the same source may follow a job that failed, or a key one that was refused."""


class _EndedError(Exception):
    """The job has ended before all of it was submitted; `refusal`: Batch has taken no part of it, and this is why."""

    def __init__(self, view: JobView, refusal: ProviderError | None) -> None:
        super().__init__(view.id)
        self.view, self.refusal = view, refusal


class UpscaleJobs:
    """One bucket, one account's queues. Thread-safe.

    Args:
        account: the account's number, for references.
    """

    def __init__(self, settings: UpscaleSettings, *, account: str | None = None, clock: Clock | None = None) -> None:
        batch = settings.batch()
        self.settings, self._account, self._clock = settings, account, clock or SystemClock()
        self._provider = BatchChain(settings.provider, batch.model_dump(mode="json"))
        self._transports: Mapping[str, Transport] = {each: self._provider.connect(each) for each in ("batch", "s3")}
        self._store: ObjectStore = S3Store(batch.s3().model_dump())
        self._ledger = Ledger(self._store, batch.work)
        self._perform = with_retries(lambda call: self._transports[call.service].perform(call))

    def accept(self, order: Order, *, caller: str, key: str | None) -> JobView:
        """Start the job, or find the one that this request has started before.

        Raises:
            InvalidOrderError, UnsupportedError: it cannot be done; nothing was started.
            IdempotencyConflictError: the key belongs to another request.
            HoldError: ask again later; the same job will go on.
            ProviderError: the source, the output or Batch refuse it; `provider_code` says why. The same request, or
                another with its key, may be made again.
        """
        spec = order.spec(self.settings)
        self._provider.check(spec, order.options)
        fresh = Ticket(
            job_id="",
            fingerprint=order.fingerprint,
            key=order.key,
            spec=spec,
            options=order.options,
            created_at=self._clock.now(),
            caller=derive_id("caller", caller),
            is_new=True,
        )
        job_id = self._id_of_key(caller, key) if key is not None else self._id_of_request(fresh, caller)
        assert job_id is not None
        return self._begin(fresh.model_copy(update={"job_id": job_id}))

    def look(self, job_id: str, *, caller: str | None = None) -> JobView:
        """What is known of a job; a submission that was broken off goes on.

        Args:
            caller: who asks; only the caller who started a job is answered. None: the service itself.

        Raises:
            JobNotFoundError: the caller has started no such job, or Batch has forgotten it meanwhile.
            ProviderError: it cannot be told now.
        """
        ticket = self._ticket(job_id, caller)
        if ended := self._ledger.read(job_id, "end"):
            return JobView.model_validate(ended)
        try:
            members = self._members(ticket)
        except HoldError as hold:
            return self._view(ticket, (), JobState.SUBMITTING, hold_reason=str(hold))
        except _EndedError as over:
            return over.view
        return self._observed(ticket, members)

    def find(self, key: str, *, caller: str) -> JobView | None:
        """The job that the caller has started under an idempotency key."""
        try:
            job_id = self._id_of_key(caller, key, create=False)
            return self.look(job_id, caller=caller) if job_id is not None else None
        except JobNotFoundError:
            return None

    def cancel(self, job_id: str, *, caller: str | None = None) -> JobView:
        """Stop a job; `outcome` of the view says what it came to. Also of a job that is still being submitted.

        Raises:
            JobNotFoundError: there is no such job.
        """
        before = self.look(job_id, caller=caller)
        if before.state.is_terminal:
            return before.model_copy(update={"outcome": CancelOutcome.TOO_LATE})
        self._ledger.write(job_id, "cancel", {"at": self._clock.now().isoformat()})
        outcome = self._stop(self._ticket(job_id, caller))
        return self.look(job_id).model_copy(update={"outcome": outcome})

    def close(self) -> None:
        """Let go of the connections."""
        for transport in self._transports.values():
            transport.close()
        self._store.close()

    def _begin(self, fresh: Ticket) -> JobView:
        """Go on with the job as far as it goes; a request that is at it already gets some seconds to finish."""
        for look in itertools.count(1):
            try:
                return self._go_on(self._ledger.ticket(fresh.job_id) or fresh, fresh)
            except OvertakenError:
                continue  # there is a ticket now
            except HoldError as hold:
                if is_throttled(hold) or look >= _LOOKS:
                    raise
            self._clock.wait(Event(), _PAUSE_S)
        raise AssertionError("unreachable: the count has no end")

    def _go_on(self, ticket: Ticket, fresh: Ticket) -> JobView:
        if ticket.fingerprint != fresh.fingerprint:
            raise IdempotencyConflictError(
                f"this idempotency key belongs to job {ticket.job_id}, which asked for something else"
            )
        if not ticket.is_new and (ended := self._ledger.read(ticket.job_id, "end")):
            return JobView.model_validate(ended)
        try:
            members = self._members(ticket)
        except _EndedError as over:
            if over.refusal is not None:
                raise over.refusal from over
            return over.view
        return self._view(ticket, members, JobState.QUEUED) if ticket.is_new else self._observed(ticket, members)

    def _members(self, ticket: Ticket) -> Sequence[Member]:
        """All vendor jobs; those that are missing are submitted first.

        Raises:
            _EndedError: refused, or cancelled, after the job had been written down.
            ProviderError: refused before that.
        """
        if not ticket.is_new and (known := self._ledger.read(ticket.job_id, "members")):
            return [Member.model_validate(each) for each in known["members"]]
        if ticket.told:
            raise HoldError(f"job {ticket.job_id} was begun by release 0.1 and is not submitted any further")
        journal = open_journal(self._ledger, ticket)
        try:
            members = submit(self._vendor(ticket), ticket, journal, self._clock).members
        except HoldError as hold:
            if journal.is_empty and isinstance(hold.__cause__, ProviderError):
                raise hold.__cause__ from None  # nothing was written down, so that nothing goes on
            hold.is_untouched = not _accepted(journal)  # a manifest starts nothing
            raise
        except ProviderError as refusal:
            if journal.is_empty:
                raise
            is_cancelled = isinstance(refusal, StopRequestedError)
            state = JobState.CANCELLED if is_cancelled else JobState.FAILED
            is_untouched = not (is_cancelled or _accepted(journal))
            view = self._end(ticket, (), state, is_untouched=is_untouched, error=self._provider.classify(refusal))
            raise _EndedError(view, refusal if is_untouched else None) from refusal
        stored: Any = [each.model_dump(mode="json") for each in members]
        self._ledger.write(ticket.job_id, "members", {"members": stored})
        if self._ledger.read(ticket.job_id, "cancel") is not None:  # it came while the last step was on its way
            self._converse(self._provider.cancel(members))
        return members

    def _vendor(self, ticket: Ticket) -> BatchVendor:
        return BatchVendor(
            self._provider,
            self._perform,
            ticket,
            settle_s=self.settings.settle_time_s,
            look=lambda call, reply: check_picture(call, reply, ticket.spec.scale, self.settings.max_output_pixels),
        )

    def _stop(self, ticket: Ticket) -> CancelOutcome:
        try:
            members = self._members(ticket)
        except HoldError:
            self._converse(self._provider.cancel(_accepted(open_journal(self._ledger, ticket))))
            return CancelOutcome.REQUESTED  # whoever looks next ends what turns up
        except _EndedError:
            return CancelOutcome.REQUESTED
        return self._converse(self._provider.cancel(members))

    def _observed(self, ticket: Ticket, members: Sequence[Member]) -> JobView:
        seen = {each.native_id: each for each in self._converse(self._provider.query(members))}
        known = [(member, seen[member.native_id]) for member in members if not seen[member.native_id].not_found]
        if seen[members[-1].native_id].not_found:  # the last one decides how the job ends
            return self._unseen(ticket, members)
        whole = self._provider.fold([_status(member, each) for member, each in known])
        state = whole.state or JobState.QUEUED
        if state is JobState.SUCCEEDED:
            return self._delivered(ticket, members)
        if state.is_terminal:
            return self._end(ticket, members, state, error=whole.error)
        return self._view(ticket, members, state, phase=whole.phase, progress=whole.progress)

    def _unseen(self, ticket: Ticket, members: Sequence[Member]) -> JobView:
        age = self._clock.now() - ticket.created_at
        if age > timedelta(seconds=self.settings.settle_time_s):
            raise JobNotFoundError(f"Batch no longer knows job {ticket.job_id}, and nobody asked how it ended in time")
        return self._view(ticket, members, JobState.QUEUED, phase="submitted")

    def _delivered(self, ticket: Ticket, members: Sequence[Member]) -> JobView:
        output = ticket.spec.output
        stat = self._store.stat(output)
        if stat is None or stat.size_bytes == 0:
            error = JobError.of(ErrorCode.OUTPUT_MISSING, f"the workers reported success, but {output} is not there")
            return self._end(ticket, members, JobState.FAILED, error=error)
        made = (Output(uri=output, size_bytes=stat.size_bytes),)
        return self._end(ticket, members, JobState.SUCCEEDED, outputs=made, progress=1.0)

    def _end(
        self, ticket: Ticket, members: Sequence[Member], state: JobState, *, is_untouched: bool = False, **more: Any
    ) -> JobView:
        """Write down how the job ended; what another has written first stands.

        Args:
            is_untouched: Batch has taken no part of it, so that its key may lead to another job.
        """
        view = self._view(ticket, members, state, **more)
        if self._ledger.write(ticket.job_id, "end", {**view.model_dump(mode="json"), "untouched": is_untouched}):
            return view
        return JobView.model_validate(self._ledger.read(ticket.job_id, "end"))

    def _view(self, ticket: Ticket, members: Sequence[Member], state: JobState, **more: Any) -> JobView:
        ref = JobRef(
            job_id=ticket.job_id,
            provider=self._provider.name,
            kind=ticket.spec.kind,
            account=self._account,
            region=self._provider.region,
            members=tuple(MemberRef(role=each.role, native_id=each.native_id) for each in members),
        )
        output: str = ticket.spec.output.key
        return JobView(id=ticket.job_id, reference=str(ref), state=state, key=ticket.key, output=output, **more)

    def _ticket(self, job_id: str, caller: str | None) -> Ticket:
        ticket = self._ledger.ticket(job_id)
        is_foreign = (
            ticket is not None and caller is not None and ticket.caller not in ("", derive_id("caller", caller))
        )
        if ticket is None or is_foreign:
            raise JobNotFoundError(f"there is no job {job_id}")
        return ticket

    def _id_of_key(self, caller: str, key: str, *, create: bool = True) -> str | None:
        """The id of the job that this key leads to: a new one only where Batch has refused the last outright."""
        names = [derive_id("key", caller, key, *([str(run)] if run > 1 else [])) for run in _RUNS]
        return self._first(names, lambda job_id: not (self._ledger.read(job_id, "end") or {}).get("untouched"), create)

    def _id_of_request(self, fresh: Ticket, caller: str) -> str | None:
        """The id of the job that this request has, or would have: a new one only when the last has come to nothing."""
        stat = self._store.stat(fresh.spec.input)
        if stat is None:
            raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{fresh.spec.input} does not exist")
        names = [derive_id("request", caller, fresh.fingerprint, stat.version, str(run)) for run in _RUNS]
        return self._first(
            names, lambda job_id: self._ledger.ticket(job_id) is None or not self._is_over(job_id), create=True
        )

    def _first(self, names: Sequence[str], leads_to: Callable[[str], bool], create: bool) -> str | None:
        """The job of the first name that leads to one; of the last one where none does."""
        job_id = None
        for name in names:
            job_id = self._ledger.named(name, create=create)
            if job_id is None or leads_to(job_id):
                break
        return job_id

    def _is_over(self, job_id: str) -> bool:
        """Whether the job came to nothing that the same request could be answered with."""
        try:
            view = self.look(job_id)
        except JobNotFoundError:
            return True
        if view.state is JobState.SUCCEEDED:
            return any(self._store.stat(output.uri) is None for output in view.outputs)
        return view.state.is_terminal

    def _converse(self, flow: Flow[T]) -> T:
        return drive(flow, self._perform)


def _accepted(journal: ObjectJournal) -> list[Member]:
    """Return the vendor jobs of a submission, as far as Batch has confirmed them."""
    confirmed = [each for each in journal.entries() if each.service == "batch" and each.status == "accepted"]
    created = [each for each in confirmed if each.effect == "create" and each.reply is not None]
    return [Member(role=each.step, native_id=str((each.reply or {})["jobId"])) for each in created]


def _status(member: Member, seen: Observation) -> MemberStatus:
    return MemberStatus(
        member=member,
        state=seen.state or JobState.QUEUED,
        phase=seen.phase,
        progress=seen.progress,
        error=seen.error,
        result=seen.result,
        raw=seen.raw,
    )
