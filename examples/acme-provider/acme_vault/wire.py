"""The vault's HTTP API: `POST /copies`, `GET /copies?ids=…|token=…`, `POST /withdrawals`, with `X-Api-Key`."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any

import httpx

from mediabroker.errors import (
    AuthenticationError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker.spi import Call, Reply

REFUSALS = {401: AuthenticationError, 403: AuthenticationError, 429: ThrottledError, 503: UnavailableError}


@cache
def tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than many a call."""
    return httpx.create_ssl_context()


class VaultTransport:
    """One HTTP connection pool; httpx clients are safe to share between threads."""

    def __init__(self, provider: str, endpoint: str, api_key: str) -> None:
        self._provider = provider
        self._http = httpx.Client(base_url=endpoint, headers={"X-Api-Key": api_key}, timeout=10, verify=tls())

    def perform(self, call: Call[Any]) -> Reply:
        method, _, path = call.operation.partition(" ")
        sent: dict[str, Any] = {"params" if method == "GET" else "json": dict(call.params)}
        details = {"provider": self._provider, "operation": call.operation}
        try:
            answer = self._http.request(method, path, **sent)
        except httpx.ConnectError as error:
            raise UnavailableError("the vault cannot be reached", **details) from error
        except httpx.HTTPError as error:
            raise SubmissionUnknownError("the vault did not answer", **details) from error
        if answer.is_success:
            reply: Reply = answer.json()
            return reply
        refusal = REFUSALS.get(answer.status_code, ProviderError)
        raise refusal(f"the vault refused: {answer.text}", provider_code=str(answer.status_code), **details)

    def close(self) -> None:
        self._http.close()
