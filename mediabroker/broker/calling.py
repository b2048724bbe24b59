"""Sends calls: at the vendor's rate, with the product's only retry loop, and not at all while the vendor is down.

A circuit, one for each provider and operation in this process, keeps a broken vendor from being flooded: its budget
bounds what retries add to the calls that were wanted; its breaker bounds those calls while nothing answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Lock
from typing import Any

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_random_exponential

from mediabroker.clock import Clock
from mediabroker.errors import ProviderError, SubmissionUnknownError, UnavailableError
from mediabroker.spi import Call, Provider, RateLimit, Reply, Transport

__all__ = ["Bucket", "Caller", "Circuit", "CircuitOpenError"]

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
_CAP_S = 20.0
_jitter = wait_random_exponential(multiplier=0.2, max=_CAP_S)
_NO_ANSWER = (UnavailableError, SubmissionUnknownError)

_SHARE = 0.1
"""Of all calls may be retries, in the long run."""
_SAVED = 10.0
"""Retries that may be saved up, so that a short trouble is met with patience."""
_FAILURES = 10
"""How many tries in a row may find nobody there before the breaker opens."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 20.0

_BURST_SHARE = 0.1
"""Of a limit may come at once. The rest is spread, so that no second ever sees more than the limit."""


class Caller:
    """Performs calls for all threads of a broker.

    Args:
        transport: finds the transport of a provider's name and a service.
    """

    def __init__(self, clock: Clock, transport: Callable[[str, str], Transport]) -> None:
        self._clock, self._transport = clock, transport
        self._rates = RateLimiter(clock)
        self._circuits: dict[tuple[str, str, str], Circuit] = {}
        self._lock = Lock()
        self._never = Event()

    def perform(self, provider: Provider, call: Call[Any]) -> Reply:
        """Return the call's reply; a retryable refusal is tried up to five times, as long as the budget lasts.

        Safe for every effect: a `ProviderError` means that the call had none, and an unknown outcome is no refusal.

        Raises:
            CircuitOpenError: nothing was sent.
            ProviderError: the vendor refused.
            Exception: whatever else the transport raised: the outcome of a `create` is unknown.
        """
        circuit = self._circuit(provider.name, call)
        circuit.begin(provider.name, call.operation)
        transport = self._transport(provider.name, call.service)
        for attempt in self._tries(circuit):
            with attempt:
                self._rates.wait(provider, call)
                try:
                    reply = transport.perform(call)
                except Exception as error:
                    is_answer = isinstance(error, ProviderError) and not isinstance(error, _NO_ANSWER)
                    circuit.answered() if is_answer else circuit.nobody_there()
                    raise
                circuit.answered()
                return reply
        raise AssertionError("unreachable: the last try raises")

    def _tries(self, circuit: Circuit) -> Retrying:
        return Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=_wait_s,
            retry=lambda state: _worth_it(state) and circuit.may_retry(),
            before_sleep=_report,
            sleep=self._pause,
            reraise=True,
        )

    def _pause(self, seconds: float) -> None:
        self._clock.wait(self._never, seconds)

    def _circuit(self, provider: str, call: Call[Any]) -> Circuit:
        with self._lock:
            return self._circuits.setdefault((provider, call.service, call.operation), Circuit(self._clock))


def _worth_it(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ProviderError) or isinstance(error, SubmissionUnknownError):
        return False
    return error.retryable and state.attempt_number < _ATTEMPTS  # the last one must not use up the budget


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wished_s = getattr(error, "retry_after_s", None)
    return min(wished_s, _CAP_S) if wished_s else _jitter(state)


def _report(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info(
        "retrying a refused call (attempt %s, error %s)",
        state.attempt_number,
        str(error),
        extra={"attempt": state.attempt_number, "error": str(error)},
    )


class CircuitOpenError(UnavailableError):
    """Not sent: the calls before it found nobody there, and the next try is not due yet."""


class Circuit:
    """The state of one operation of one provider. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._retries = _SAVED
        self._failures = 0
        self._pause_s = 0.0
        self._closed_until_s = float("-inf")

    def begin(self, provider: str, operation: str) -> None:
        """Before a call that somebody wants.

        While the breaker is open one call is let through after each pause; it tells whether the vendor is back.

        Raises:
            CircuitOpenError: with the seconds to wait as `retry_after_s`; nothing may be sent.
        """
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._pause_s and now_s < self._closed_until_s:
                left_s = self._closed_until_s - now_s
                raise CircuitOpenError(
                    f"it was out of order {self._failures} times in a row; asked again in {left_s:.0f} s",
                    provider=provider,
                    operation=operation,
                    retry_after_s=left_s,
                )
            if self._pause_s:
                self._closed_until_s = now_s + self._pause_s  # others wait for what this one finds
            self._retries = min(_SAVED, self._retries + _SHARE)

    def may_retry(self) -> bool:
        """Whether the budget has room for one more; it is taken."""
        with self._lock:
            if self._pause_s or self._retries < 1:
                return False
            self._retries -= 1
            return True

    def answered(self) -> None:
        """The vendor is there, whatever it said."""
        with self._lock:
            self._failures, self._pause_s = 0, 0.0

    def nobody_there(self) -> None:
        """The vendor could not be reached, or is out of order."""
        with self._lock:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._pause_s = min(max(_FIRST_PAUSE_S, self._pause_s * 2), _LONGEST_PAUSE_S)
                self._closed_until_s = self._clock.monotonic_s() + self._pause_s


class Bucket:
    """A token bucket that hands out moments instead of tokens: each call is told how long to wait.

    Within any second at most `per_s` calls are let through: a tenth of them at once, the others evenly.
    """

    def __init__(self, per_s: float) -> None:
        burst = max(1.0, per_s * _BURST_SHARE)
        # The whole limit for limits of less than two a second, where burst and spread cannot share it.
        self._interval_s = 1 / max(per_s - burst, per_s / 2)
        self._slack_s = (burst - 1) * self._interval_s
        self._next_s = float("-inf")
        self._lock = Lock()

    def reserve(self, now_s: float) -> float:
        """Take the next free moment; how many seconds from now it is."""
        with self._lock:
            due_s = max(self._next_s, now_s)
            self._next_s = due_s + self._interval_s
            return max(0.0, due_s - self._slack_s - now_s)


class RateLimiter:
    """One bucket for each limit of each account, whichever of its instances calls. For one process.

    Instances of one type that do not tell their account may all be of the same: they share one bucket, too.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str | None, RateLimit], Bucket] = {}
        self._lock = Lock()
        self._never = Event()

    def wait(self, provider: Provider, call: Call[object]) -> None:
        """Return when the call may be sent."""
        limits = [each for each in provider.capabilities().rates if each.holds_for(call)]
        waits_s = [self._bucket(provider, each).reserve(self._clock.monotonic_s()) for each in limits]
        if (longest_s := max(waits_s, default=0.0)) > 0:
            self._clock.wait(self._never, longest_s)

    def _bucket(self, provider: Provider, limit: RateLimit) -> Bucket:
        key = (provider.type, provider.account, limit)
        with self._lock:
            return self._buckets.setdefault(key, Bucket(limit.per_s))
