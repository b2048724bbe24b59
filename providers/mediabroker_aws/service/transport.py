"""The only I/O of the ways over HTTP: requests to the super-resolution service, with an API key or signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from mediabroker_aws.exchange import exchange, retry_after_s, unclear
from mediabroker_aws.gateway_auth import gateway_auth
from mediabroker_aws.service.wire import INTERNAL
from mediabroker_aws.settings import ServiceSettings

__all__ = ["ServiceTransport"]


class ServiceTransport:
    """Performs requests of the service. Thread-safe.

    An operation is the HTTP method; its parameters are `path`, `query`, `body` and `idempotency_key`. An answer that is
    no JSON object reads as `{"text": ...}`.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._client = httpx.Client(
            timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
            auth=gateway_auth(settings.api_key, profile=settings.profile, region=settings.region),
            headers={"User-Agent": "mediabroker"},
        )

    def perform(self, call: Call[Any]) -> Reply:
        """See `Transport.perform`."""
        params: Mapping[str, Any] = call.params
        key = params.get("idempotency_key")

        def send() -> httpx.Response:
            return self._client.request(
                call.operation,
                self._settings.service_url.rstrip("/") + params["path"],
                params=params.get("query"),
                json=params.get("body"),
                headers={"Idempotency-Key": key} if key else None,
            )

        answer = exchange(call, send, **_about(call))
        if answer.is_success:
            return _content(call, answer)
        raise _refusal(call, answer)

    def close(self) -> None:
        self._client.close()


def _content(call: Call[Any], answer: httpx.Response) -> Reply:
    try:
        content = json.loads(answer.content)
    except ValueError:
        content = None
    if isinstance(content, dict):
        return content
    if call.effect != "create":
        raise unclear(call, "the answer is no JSON object", **_about(call))
    return {"text": answer.text}


def _refusal(call: Call[Any], answer: httpx.Response) -> ProviderError:
    said = _said(answer)
    message = f"{_named(call)}: {said.get('message') or answer.reason_phrase} ({answer.status_code})"
    about = {
        **_about(call),
        "provider_code": said.get("code"),
        "request_id": answer.headers.get("x-amzn-requestid"),
    }
    wait_s = retry_after_s(answer)
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return ThrottledError(message, retry_after_s=wait_s, **about)
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) and "code" not in said:
        return AuthenticationError(message, **about)  # the gateway's word; the service itself names a code
    is_definite = answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR or (
        answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR and said.get("code", INTERNAL) != INTERNAL
    )
    if is_definite:
        return ProviderError(message, **about)
    kind = SubmissionUnknownError if call.effect == "create" else UnavailableError
    return kind(message, retry_after_s=wait_s, **about)


def _said(answer: httpx.Response) -> dict[str, str]:
    """Code and message of a refusal: the service's `{"error": {...}}`, or the gateway's `{"message": ...}`."""
    try:
        content = json.loads(answer.content)
    except ValueError:
        return {"message": answer.text[:200]}
    error = content.get("error", content) if isinstance(content, dict) else {}
    fields = error if isinstance(error, dict) else {}
    return {name: str(fields[name]) for name in ("code", "message") if fields.get(name)}


def _about(call: Call[Any]) -> dict[str, Any]:
    return {"provider": "service", "operation": _named(call)}


def _named(call: Call[Any]) -> str:
    return f"{call.operation} {call.params['path'] or '/'}"
