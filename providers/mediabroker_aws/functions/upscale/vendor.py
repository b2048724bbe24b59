"""The exactly-once engine over Batch: one run of a job's submit flow, with its journal among the service's records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from mediabroker.clock import Clock
from mediabroker.errors import ProviderError, SubmissionUnknownError, ThrottledError
from mediabroker.flows.engine import Engine, HoldError
from mediabroker.flows.journal import Entry
from mediabroker.objects import ObjectJournal
from mediabroker.spi import Call, Member, Provider, Reply, Submitted, drive
from mediabroker_aws.functions.upscale.ledger import Ledger, Ticket

__all__ = ["BatchVendor", "Perform", "is_throttled", "open_journal", "submit", "with_retries"]

_log = logging.getLogger(__name__)

Perform = Callable[[Call[Any]], Reply]

_ATTEMPTS = 3
_MOST_WAIT_S = 2.0


def with_retries(perform: Perform) -> Perform:
    """Return `perform`, repeated where a call had no effect and may be sent again: three times within a few seconds."""

    def persist(call: Call[Any]) -> Reply:
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=_MOST_WAIT_S),
            retry=retry_if_exception(_worth_it),
            reraise=True,
        )
        return retrying(lambda: perform(call))

    return persist


def _worth_it(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.retryable and not isinstance(error, SubmissionUnknownError)


def open_journal(ledger: Ledger, ticket: Ticket) -> ObjectJournal:
    """Return the journal of a job; its ticket is written before the first call that starts something."""
    job_id = ticket.job_id
    return ObjectJournal(
        ledger.calls(job_id),
        is_stopped=lambda: not ticket.is_new and ledger.read(job_id, "cancel") is not None,
        before_first=lambda: ledger.begin(ticket),
        is_new=ticket.is_new,
    )


def submit(vendor: BatchVendor, ticket: Ticket, journal: ObjectJournal, clock: Clock) -> Submitted:
    """Return all vendor jobs of the ticket, submitted now or before.

    Raises:
        HoldError: what is missing cannot be submitted now.
        OvertakenError: another request has begun this job; nothing was submitted by this run.
        ProviderError: the source, the output or Batch rejected it; StopRequestedError: it was cancelled.
    """
    flow = vendor.provider.submit(ticket.spec, ticket.options, ticket.context)
    return drive(flow, Engine(vendor, journal, clock))


def is_throttled(hold: HoldError) -> bool:
    """Return whether Batch wants fewer calls, and nothing of the job was started."""
    return hold.is_untouched and isinstance(hold.__cause__, ThrottledError)


class BatchVendor:
    """A `Vendor` for one ticket.

    Args:
        settle_s: how long a job that Batch has accepted may stay invisible to a search, in seconds.
        look: sees each reply to a read before the flow does, and may reject the job.
    """

    def __init__(
        self,
        provider: Provider,
        perform: Perform,
        ticket: Ticket,
        *,
        settle_s: float,
        look: Callable[[Call[Any], Reply], None] = lambda _call, _reply: None,
    ) -> None:
        self.provider, self._perform, self._ticket = provider, perform, ticket
        self._settle_s, self._look = settle_s, look

    @property
    def name(self) -> str:
        return self.provider.name

    def perform(self, call: Call[Any]) -> Reply:
        """See `Vendor.perform`."""
        reply = self._perform(call)
        if call.effect == "read":
            self._look(call, reply)
        return reply

    def settle_time_s(self, call: Call[Any]) -> float | None:
        """See `Vendor.settle_time_s`; an object that S3 has stored is seen at once."""
        return 0.0 if call.service == "s3" else self._settle_s

    def search(self, entry: Entry) -> Sequence[Reply]:
        """See `Vendor.search`."""
        return drive(self.provider.find(self._ticket.context, entry.call), self._perform)

    def may_risk_second_job(self, entry: Entry) -> bool:  # noqa: ARG002  every call can be searched for
        """See `Vendor.may_risk_second_job`."""
        return False

    def discard(self, call: Call[Any], duplicates: Sequence[Reply]) -> None:
        """See `Vendor.discard`."""
        job_id, count = self._ticket.job_id, len(duplicates)
        _log.warning("terminating duplicates (job %s, count %s)", job_id, count, extra={"job": job_id, "count": count})
        members = [Member(role=call.step, native_id=str(call.read(each))) for each in duplicates]
        drive(self.provider.cancel(members), self._perform)
