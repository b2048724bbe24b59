"""One request to a service over HTTP, and what it means when no answer comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from mediabroker.errors import ProviderError, SubmissionUnknownError, UnavailableError
from mediabroker.spi import Call

__all__ = ["exchange", "retry_after_s", "unclear"]

_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def exchange(call: Call[Any], send: Callable[[], httpx.Response], **about: Any) -> httpx.Response:
    """The answer, whatever its status; `about` names provider and operation in what is raised.

    Raises:
        UnavailableError: nothing was sent, or no whole answer came to a call that creates nothing.
        SubmissionUnknownError: no whole answer came to a create.
    """
    try:
        return send()
    except _NOTHING_SENT as error:
        raise UnavailableError(f"{about['operation']}: {error}", **about) from error
    except httpx.RequestError as error:  # also a body that cannot be decoded
        raise unclear(call, f"{type(error).__name__}: {error}", **about) from error


def unclear(call: Call[Any], problem: str, **about: Any) -> ProviderError:
    """What an answer that tells nothing amounts to."""
    kind = SubmissionUnknownError if call.effect == "create" else UnavailableError
    return kind(f"{about['operation']}: {problem}", **about)


def retry_after_s(answer: httpx.Response) -> float | None:
    """Seconds to wait, where the answer says so."""
    wait_s = answer.headers.get("retry-after", "")
    return float(wait_s) if wait_s.isdigit() else None
