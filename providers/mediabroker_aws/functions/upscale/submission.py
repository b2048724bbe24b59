"""One job on its way into Batch: the provider's own submit flow, replayed over what the ledger holds.

Each `SubmitJob` is announced by a record that only one caller can write, so two requests at once, a request repeated
after a lost answer, and one that goes on after a crash start one chain. A step whose answer is not known is searched
for by name, and announced again only when Batch's list has had time to show it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from mediabroker.clock import Clock
from mediabroker.errors import ErrorCode, MediaBrokerError, ProviderError, SubmissionUnknownError, ThrottledError
from mediabroker.spi import Call, Flow, Member, Provider, Reply, Submitted, drive
from mediabroker_aws.functions.upscale.ledger import Ledger, Ticket, Told

__all__ = ["HoldError", "OvertakenError", "Perform", "Submission", "with_retries"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

Perform = Callable[[Call[Any]], Reply]

_ATTEMPTS = 3
_MOST_WAIT_S = 2.0
_BUSY_S = 2.0
"""When to ask again while another request submits the step."""
_REFUSED_S = 5.0


class HoldError(MediaBrokerError):
    """The submission cannot go on now; asking again after `retry_after_s` takes it further.

    `throttled`: Batch wants fewer calls, and nothing of this job has been started.
    """

    def __init__(self, message: str, retry_after_s: float, *, throttled: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s, self.throttled = retry_after_s, throttled


class _DefiniteError(Exception):
    """What the flow must see as a refusal; everything else that goes wrong leaves it as it is, to go on later."""

    def __init__(self, refusal: ProviderError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class OvertakenError(MediaBrokerError):
    """Another request has written this job's ticket first; read it and go by it."""


def with_retries(perform: Perform) -> Perform:
    """`perform`, for what had no effect and may be asked again: three times within a few seconds."""

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


class Submission:
    """One run of a job's submit flow.

    Args:
        look: sees each reply to a read before the flow does, and may refuse the job.
        settle_s: how long a job that Batch has accepted may stay invisible, and a request be on its way.
    """

    def __init__(
        self,
        ticket: Ticket,
        provider: Provider,
        perform: Perform,
        ledger: Ledger,
        *,
        clock: Clock,
        settle_s: float,
        look: Callable[[Call[Any], Reply], None] = lambda _call, _reply: None,
    ) -> None:
        self.ticket = ticket
        self._provider, self._perform, self._ledger = provider, perform, ledger
        self._clock, self._settle_s, self._look = clock, settle_s, look
        self._is_new, self.is_committed = ticket.is_new, not ticket.is_new
        """Whether the ticket is written: from then on the job exists, and has to end."""
        self._told: list[Told] = []
        self.accepted: list[str] = []
        """The ids of the vendor jobs that Batch has accepted, as far as this run has come."""

    def run(self) -> Submitted:
        """All vendor jobs, submitted now or before.

        Raises:
            HoldError: what is missing cannot be submitted now.
            OvertakenError: another request has begun this job; nothing was submitted by this run.
            ProviderError: refused; with code `CANCELLED`, by a cancel.
        """
        return drive(self._provider.submit(self.ticket.spec, self.ticket.options, self.ticket.context), self._answer)

    def _answer(self, call: Call[Any]) -> Reply:
        try:
            return self._answered(call)
        except _DefiniteError as final:
            raise final.refusal from final
        except ProviderError as trouble:
            if not self.is_committed:
                raise
            # The flow would take it for a refusal, and end what has been started.
            raise HoldError(str(trouble), trouble.retry_after_s or _REFUSED_S) from trouble

    def _answered(self, call: Call[Any]) -> Reply:
        if call.effect == "read":
            return self._read(call)
        if call.effect == "cancel":
            return self._perform(call)
        self._commit()
        if known := self._record(f"{call.step}.accepted", call):
            return self._noted(call, known["reply"])
        if call.service == "s3":  # a put on condition: twice is once
            return self._accept(call, self._perform(call))
        return self._create(call)

    def _read(self, call: Call[Any]) -> Reply:
        if self.is_committed:
            return self._recall(call)
        try:
            reply = self._perform(call)
        except ProviderError as refusal:
            why = {"message": str(refusal), "provider_code": refusal.provider_code}
            self._told.append(Told(digest=call.digest, refusal=why))
            raise
        self._look(call, reply)
        self._told.append(Told(digest=call.digest, reply=reply))
        return reply

    def _recall(self, call: Call[Any]) -> Reply:
        told = next((each for each in self.ticket.told if each.digest == call.digest), None)
        if told is None:
            raise self._differs(call)
        if told.refusal is not None:
            code: Any = told.refusal["provider_code"]
            about = {"provider": call.service, "operation": call.operation, "provider_code": code}
            raise _DefiniteError(ProviderError(str(told.refusal["message"]), **about))
        return told.reply or {}

    def _commit(self) -> None:
        """Write the ticket before anything is started; a request that was refused before leaves nothing behind."""
        if self.is_committed:
            return
        self.ticket = self.ticket.model_copy(update={"told": tuple(self._told)})
        if not self._ledger.write(self.ticket.job_id, "request", self.ticket.model_dump(mode="json")):
            raise OvertakenError(f"job {self.ticket.job_id} has been begun by another request")
        self.is_committed = True

    def _create(self, call: Call[Any]) -> Reply:
        number, sent = self._last_sent(call)
        if sent is not None and self._record(f"{call.step}.{number}.withdrawn") is None:
            if reply := self._found(call):
                return self._accept(call, reply)
            left_s = self._left_s(sent["at"])
            if left_s > 0:
                raise HoldError(f"whether Batch has accepted {call.step} is not known yet", left_s)
        if self._record("cancel") is not None:  # only now: what is there already must be ended, too
            refusal = ProviderError(
                "it was cancelled before this step",
                provider=self._provider.name,
                operation=call.operation,
                provider_code=ErrorCode.CANCELLED.value,
            )
            raise _DefiniteError(refusal)
        return self._send(call, number + 1)

    def _send(self, call: Call[Any], number: int) -> Reply:
        announced = {"digest": call.digest, "at": self._clock.now().isoformat()}
        if not self._ledger.write(self.ticket.job_id, f"{call.step}.{number}.sent", announced):
            raise HoldError(f"{call.step} is being submitted by another request", _BUSY_S)
        try:
            reply = self._perform(call)
            call.read(reply)  # raises where no well-formed id is in it
        except SubmissionUnknownError as error:
            return self._unknown(call, error)
        except ProviderError as refusal:
            if not refusal.retryable:  # not withdrawn: nobody may send it again before the end is written
                raise _DefiniteError(refusal) from refusal
            self._ledger.write(self.ticket.job_id, f"{call.step}.{number}.withdrawn", {"why": str(refusal)})
            after_s = refusal.retry_after_s or _REFUSED_S
            is_throttled = isinstance(refusal, ThrottledError) and not self.accepted
            raise HoldError(str(refusal), after_s, throttled=is_throttled) from refusal
        except ValueError as error:
            return self._unknown(call, error)
        return self._accept(call, reply)

    def _unknown(self, call: Call[Any], error: Exception) -> Reply:
        _log.warning("the outcome of a submit is unknown: %s", error, extra={"job": self.ticket.job_id})
        if reply := self._found(call):
            return self._accept(call, reply)
        raise HoldError(f"whether Batch has accepted {call.step} is not known yet", self._settle_s) from error

    def _found(self, call: Call[Any]) -> Reply | None:
        found = self._converse(self._provider.find(self.ticket.context, call))
        if found[1:]:
            _log.warning(
                "terminating duplicates (job %s, count %s)",
                self.ticket.job_id,
                len(found) - 1,
                extra={"job": self.ticket.job_id, "count": len(found) - 1},
            )
            duplicates = [Member(role=call.step, native_id=str(call.read(each))) for each in found[1:]]
            self._converse(self._provider.cancel(duplicates))
        return found[0] if found else None

    def _accept(self, call: Call[Any], reply: Reply) -> Reply:
        self._ledger.write(self.ticket.job_id, f"{call.step}.accepted", {"digest": call.digest, "reply": dict(reply)})
        return self._noted(call, reply)

    def _noted(self, call: Call[Any], reply: Reply) -> Reply:
        if call.service == "batch":
            self.accepted.append(str(call.read(reply)))
        return reply

    def _last_sent(self, call: Call[Any]) -> tuple[int, dict[str, Any] | None]:
        number, last = 0, None
        while (record := self._record(f"{call.step}.{number + 1}.sent", call)) is not None:
            number, last = number + 1, record
        return number, last

    def _record(self, name: str, call: Call[Any] | None = None) -> dict[str, Any] | None:
        """A record of this job, written for this very call if one is given.

        None of a job that this run has begun: whoever is at it as well loses, or wins, where the step is announced.
        """
        if self._is_new:
            return None
        found = self._ledger.read(self.ticket.job_id, name)
        if found is not None and call is not None and found["digest"] != call.digest:
            raise self._differs(call)
        return found

    def _differs(self, call: Call[Any]) -> HoldError:
        message = f"{call.operation} of job {self.ticket.job_id} was begun under other settings; it is not sent again"
        return HoldError(message, self._settle_s)

    def _left_s(self, at: str) -> float:
        until = datetime.fromisoformat(at) + timedelta(seconds=self._settle_s)
        return (until - self._clock.now()).total_seconds()

    def _converse(self, flow: Flow[T]) -> T:
        return drive(flow, self._perform)
