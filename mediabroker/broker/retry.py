"""The only retry loop of the product: what was provably refused for now is asked again, with full jitter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from mediabroker.errors import ProviderError, SubmissionUnknownError

__all__ = ["with_retries"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS = 5
_CAP_S = 20.0
_jitter = wait_random_exponential(multiplier=0.2, max=_CAP_S)


def with_retries(perform: Callable[[], T]) -> T:
    """The call's reply; a retryable refusal is tried up to five times before it is raised.

    Safe for every effect: a `ProviderError` means that the call had no effect, and an unknown outcome is no refusal.
    """
    return Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=_wait_s,
        retry=retry_if_exception(_worth_it),
        before_sleep=_report,
        reraise=True,
    )(perform)


def _worth_it(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.retryable and not isinstance(error, SubmissionUnknownError)


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wished_s = getattr(error, "retry_after_s", None)
    return min(wished_s, _CAP_S) if wished_s else _jitter(state)


def _report(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.info("retrying a refused call", extra={"attempt": state.attempt_number, "error": str(error)})
