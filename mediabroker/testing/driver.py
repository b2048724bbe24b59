"""Drives a provider's flows without a broker: performs, plans or replays each call, and keeps a record of all of them.

    driver = Driver(provider)
    submitted = driver.run(provider.submit(spec, None, new_context(spec)))
    assert [call.operation for call in driver.calls("create")] == ["SubmitJob"]

The broker does more (journal, lease, settling); what a flow gets to see is the same.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

from mediabroker.errors import ProviderError
from mediabroker.jobs import JobSpec
from mediabroker.spi import Call, Effect, Flow, Provider, Reply, SubmitContext, Transport, drive

__all__ = ["Driver", "Exchange", "ReplayDivergedError", "new_context", "replay"]

T = TypeVar("T")


class ReplayDivergedError(AssertionError):
    """A replayed flow yielded a call that its record does not hold at that place."""


@dataclass(frozen=True)
class Exchange:
    """One call and what it came to: a reply, or the refusal."""

    call: Call[Any]
    reply: Reply | None = None
    refusal: ProviderError | None = None


def replay(flow: Flow[T], record: Sequence[Exchange]) -> T:
    """Run a flow over recorded exchanges, without performing anything.

    Raises:
        ReplayDivergedError: another call than the recorded one, more calls, or fewer.
    """
    remaining = list(record)

    def answer(call: Call[Any]) -> Reply:
        if not remaining:
            raise ReplayDivergedError(f"{call.operation} was not recorded")
        exchange = remaining.pop(0)
        if exchange.call.digest != call.digest:
            raise ReplayDivergedError(f"recorded {exchange.call}, replayed {call}")
        if exchange.refusal is not None:
            raise exchange.refusal
        return exchange.reply or {}

    result = drive(flow, answer)
    if remaining:
        raise ReplayDivergedError(f"the flow ended before {remaining[0].call.operation}")
    return result


class Driver:
    """Performs flows on the provider's own transports; threads may share it. `exchanges` is the record of all calls."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.exchanges: list[Exchange] = []
        self._transports: dict[str, Transport] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every transport that was opened."""
        with self._lock:
            transports = list(self._transports.values())
            self._transports.clear()
        for transport in transports:
            transport.close()

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end, performing every call."""
        return drive(flow, self.perform)

    def plan(self, flow: Flow[T]) -> T:
        """Run a flow to its end as `plan()` does: reads are performed, creates are fed their stand-ins."""
        return drive(flow, lambda call: self.perform(call) if call.effect == "read" else call.stand_in)

    def perform(self, call: Call[Any]) -> Reply:
        """One call on the wire, recorded."""
        try:
            reply = self._transport(call.service).perform(call)
        except ProviderError as refusal:
            self.exchanges.append(Exchange(call, refusal=refusal))
            raise
        self.exchanges.append(Exchange(call, reply=reply))
        return reply

    def calls(self, effect: Effect | None = None) -> list[Call[Any]]:
        """The calls performed so far, of one effect or of all."""
        return [each.call for each in self.exchanges if effect in (None, each.call.effect)]

    def _transport(self, service: str) -> Transport:
        with self._lock:
            if service not in self._transports:
                self._transports[service] = self.provider.connect(service)
            return self._transports[service]


def new_context(spec: JobSpec[Any], *, token: str | None = None, attempt: int = 1) -> SubmitContext:
    """The context of a new attempt, as the broker would make it when nothing has to be staged."""
    fresh = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    identity = token or fresh
    return SubmitContext(
        job_id=f"job-{identity}", attempt=attempt, token=identity, input=spec.input, output=spec.output
    )
