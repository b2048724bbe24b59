"""The exactly-once engine: runs a submit flow over a journal, so that a crash between any two calls changes nothing.

Every `create` is journalled before it is sent and every reply, refusals too, before the flow goes on. After a crash the
same generator runs again: journalled replies are fed back, and only the first call without a certain answer touches the
wire. An unknown outcome never enters the flow: the engine searches for the job by the journalled call, adopts what it
finds, and sends again only after two empty searches a settle time apart.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from mediabroker.clock import Clock
from mediabroker.errors import (
    ConfigurationError,
    MediaBrokerError,
    ProviderError,
    SubmissionUnknownError,
    UnavailableError,
)
from mediabroker.flows.calls import Call, Reply
from mediabroker.flows.journal import Entry, Journal, stored_error

__all__ = ["Engine", "HoldError", "StopRequestedError", "Vendor"]

_log = logging.getLogger(__name__)


class HoldError(MediaBrokerError):
    """The submission cannot continue now; the same engine takes it further later.

    Args:
        message: becomes the job's `hold_reason`.
        phase: of the job meanwhile; `unknown` while the outcome of a `create` is.
        retry_after_s: when to try again at the earliest, in seconds; None: at the next pass.
        is_untouched: nothing of the attempt can be at the vendor, so that another provider may run the job.
    """

    def __init__(
        self,
        message: str,
        *,
        phase: str | None = "unknown",
        retry_after_s: float | None = None,
        is_untouched: bool = False,
    ) -> None:
        super().__init__(message)
        self.phase, self.retry_after_s, self.is_untouched = phase, retry_after_s, is_untouched


class StopRequestedError(ProviderError):
    """Thrown into a flow in place of a `create` that a cancel, or a limit, has made pointless: nothing was sent."""


class Vendor(Protocol):
    """How the engine reaches the vendor."""

    @property
    def name(self) -> str: ...

    def perform(self, call: Call[Any]) -> Reply:
        """Send one call; see `Transport.perform` for the meaning of its errors."""
        ...

    def settle_time_s(self, call: Call[Any]) -> float | None:
        """Return how long an accepted `create` may stay invisible to `search`; None: it cannot be searched for."""
        ...

    def search(self, entry: Entry) -> Sequence[Reply]:
        """Return the replies that the entry's `create` would have had, the earliest first."""
        ...

    def may_risk_second_job(self, entry: Entry) -> bool:
        """Decide whether a `create` that cannot be searched for is sent once more."""
        ...

    def discard(self, call: Call[Any], duplicates: Sequence[Reply]) -> None:
        """Cancel jobs that a resent `create` has started beside the adopted one; log those that cannot be."""
        ...


class Engine:
    """Answers the calls of one run of an attempt's submit flow: `drive(flow, Engine(...))`.

    Args:
        vendor: performs and searches.
        journal: the attempt's.
        clock: times of sends and searches.
        search_late: search once more for what a resent `create` has started beside the adopted job, and discard it.
    """

    def __init__(self, vendor: Vendor, journal: Journal, clock: Clock, *, search_late: bool = False) -> None:
        self._vendor, self._journal, self._clock, self._search_late = vendor, journal, clock, search_late
        self._ordinals = itertools.count()
        self._drift = ""
        self._resent: set[int] = set()

    def __call__(self, call: Call[Any]) -> Reply:
        """Answer the flow's next call.

        Raises:
            HoldError: an outcome is unknown and cannot be settled yet, the vendor rejects the call for now, or the flow
                differs from its journal.
            ProviderError: the vendor rejected the call; `drive` throws it into the flow.
        """
        ordinal = next(self._ordinals)
        entry = self._journal.recall(ordinal, call)
        if entry is not None:
            self._compare(entry, call)
            if entry.status == "accepted":
                return self._recalled(entry, call)
            if entry.status == "refused":
                raise entry.refusal()
            if entry.status == "sent" and call.effect == "create":
                return self._settle(entry, call)
        if call.effect == "create" and self._drift:
            self._journal.check_stop()
            raise HoldError(f"{self._drift}; {call.operation} is not sent, for it might start a second job")
        now = self._clock.now()
        again = replace(entry, status="sent", sent_at=now) if entry else Entry.of(ordinal, call, sent_at=now)
        return self._send(again, call)

    def _recalled(self, entry: Entry, call: Call[Any]) -> Reply:
        reply = dict(entry.reply or {})
        if self._search_late and entry.sends > 1 and call.effect == "create":
            adopted = call.read(reply)
            late = [each for each in self._search(entry) if call.read(each) != adopted]
            if late:
                self._vendor.discard(call, late)
        return reply

    def _compare(self, entry: Entry, call: Call[Any]) -> None:
        """Notice a flow that asks for other calls than its journal holds.

        What the vendor has answered stands, whatever the settings say now; but nothing new may be started with them.
        """
        if entry.call.digest == call.digest:
            return
        if entry.call.identity != call.identity:
            raise HoldError(
                f"call {entry.ordinal} of the journal was {entry.operation}, the flow now asks for another "
                f"{call.operation}; it is not sent, for it might start a second job"
            )
        names = sorted({*entry.params, *call.params})
        changed = ", ".join(name for name in names if entry.params.get(name) != call.params.get(name))
        self._drift = (
            f"call {entry.ordinal} of the journal was {entry.operation} with another {changed}: a setting of "
            f"{self._vendor.name} was changed under the job; set it back, or cancel the job"
        )

    def _send(self, entry: Entry, call: Call[Any]) -> Reply:
        self._journal.begin(entry)
        try:
            reply = self._vendor.perform(call)
            if call.effect == "create":
                call.read(reply)  # raises where no well-formed id is in it
        except SubmissionUnknownError as error:
            return self._unknown(entry, call, error)
        except ConfigurationError as error:
            self._unsent(entry, f"{self._vendor.name} cannot send {call.operation}: {error}", error)
        except ProviderError as error:
            if error.retryable and call.effect != "cancel":
                does = "does not answer" if isinstance(error, UnavailableError) else f"rejects {call.operation} for now"
                self._unsent(entry, f"{self._vendor.name} {does}: {error}", error)
            self._journal.record(replace(entry, status="refused", error=stored_error(error)))
            raise
        except Exception as error:
            if call.effect != "create":
                raise
            return self._unknown(entry, call, error)
        self._journal.record(replace(entry, status="accepted", reply=dict(reply)))
        return reply

    def _unsent(self, entry: Entry, reason: str, error: Exception) -> None:
        """Hold what had no effect and may be sent again: a throttle, an outage, a missing key."""
        self._journal.record(replace(entry, status="unsent", error=stored_error(error)))
        untouched = not any(each.may_be_at_vendor for each in self._journal.entries())
        after_s = getattr(error, "retry_after_s", None)
        raise HoldError(reason, phase=None, retry_after_s=after_s, is_untouched=untouched) from error

    def _unknown(self, entry: Entry, call: Call[Any], error: Exception) -> Reply:
        _log.warning("the outcome of %s at %s is unknown: %s", call.operation, self._vendor.name, error)
        entry = replace(entry, error=stored_error(error))
        self._journal.record(entry)
        if call.effect != "create":
            raise error
        return self._settle(entry, call)

    def _settle(self, entry: Entry, call: Call[Any]) -> Reply:
        """Find out what became of a `create`: adopt what exists, send again only after two empty searches."""
        if found := self._search(entry):
            return self._adopt(entry, call, found)
        now, settle_time_s = self._clock.now(), self._vendor.settle_time_s(entry.call)
        unknown = f"whether {self._vendor.name} accepted {call.operation} is unknown"
        if settle_time_s is None:
            if not self._vendor.may_risk_second_job(entry):
                raise HoldError(
                    f"{unknown}, and it cannot be searched; it was sent {entry.sends} times, and is not sent again"
                    if entry.sends > 1
                    else f"{unknown}, and it cannot be searched; waiting for a callback that bears this job's token"
                )
        elif settle_time_s:
            since = entry.searched_at or now
            if entry.searched_at is None:
                self._journal.record(replace(entry, searched_at=now))
            left_s = settle_time_s - (now - since).total_seconds()
            if left_s > 0:
                raise HoldError(f"{unknown}; it is searched for again in {settle_time_s:g} s", retry_after_s=left_s)
        if self._drift:
            self._journal.check_stop()
            raise HoldError(f"{self._drift}; {unknown}, and it is not sent again")
        if entry.ordinal in self._resent:
            raise HoldError(f"{unknown} again; the next pass searches for it")
        self._resent.add(entry.ordinal)
        return self._send(replace(entry, sends=entry.sends + 1, sent_at=now, searched_at=None), call)

    def _search(self, entry: Entry) -> Sequence[Reply]:
        try:
            return self._vendor.search(entry)
        except (ProviderError, ConfigurationError) as error:
            # Not a refusal of the create: that one may well have been accepted.
            raise HoldError(f"{self._vendor.name} cannot be asked what became of {entry.operation}: {error}") from error

    def _adopt(self, entry: Entry, call: Call[Any], found: Sequence[Reply]) -> Reply:
        first, *duplicates = found
        self._journal.record(replace(entry, status="accepted", reply=dict(first)))
        if duplicates:
            self._vendor.discard(call, duplicates)
        return first
