"""Sends calls: at the vendor's rate, with the product's only retry loop, and not at all while nobody is there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Lock
from typing import Any

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_random_exponential

from mediabroker.broker.calling.circuit import Circuit
from mediabroker.broker.calling.rates import RateLimiter
from mediabroker.clock import Clock
from mediabroker.errors import ProviderError, SubmissionUnknownError, UnavailableError
from mediabroker.spi import Call, Provider, Reply, Transport

__all__ = ["Caller"]

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
_CAP_S = 20.0
_jitter = wait_random_exponential(multiplier=0.2, max=_CAP_S)


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


_NO_ANSWER = (UnavailableError, SubmissionUnknownError)


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
