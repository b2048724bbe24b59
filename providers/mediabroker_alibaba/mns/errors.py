"""MNS's error answers as our exceptions."""

from __future__ import annotations

from collections.abc import Mapping

from mediabroker.errors import (
    AuthenticationError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)
from mediabroker_alibaba.mns.wire import Refusal

__all__ = ["EXPIRED", "translate"]

EXPIRED = frozenset({"InvalidSecurityToken", "InvalidSecurityToken.Expired", "SecurityTokenExpired"})
"""Credentials that were good once: whoever reads them again may get new ones."""

_KINDS: Mapping[str, type[ProviderError]] = {
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "TimeExpired"), AuthenticationError
    ),
    **dict.fromkeys(EXPIRED, AuthenticationError),
    **dict.fromkeys(("QpsLimitExceeded", "Throttling", "Throttling.User", "TooManyRequests"), ThrottledError),
    **dict.fromkeys(("InternalError", "InternalServerError", "ServiceUnavailable"), UnavailableError),
}
"""Source: MNS, API reference, "Error codes" (help 27501)."""

_HINTS: Mapping[str, str] = {
    "TimeExpired": "; this machine's clock is more than 15 minutes off",
    "SignatureDoesNotMatch": "; the access key's secret is wrong",
}


def translate(
    operation: str, status: int, refusal: Refusal | None, *, queue: str, creates: bool = False
) -> ProviderError:
    """What to raise for an answer of that status; `refusal` is None when its body was none of the protocol's.

    With `creates`, a server's own trouble leaves open whether the call took effect.
    """
    code = refusal.code if refusal else None
    kind = _KINDS.get(code or "") or _by_status(status)
    if creates and kind is UnavailableError:
        kind = SubmissionUnknownError
    said = f"{refusal.message} ({code})" if refusal else f"HTTP status {status} without an error document"
    return kind(
        f"{operation} on queue {queue}: {said}{_HINTS.get(code or '', '')}",
        provider="mns",
        operation=operation,
        provider_code=code,
        request_id=refusal.request_id if refusal else None,
    )


def _by_status(status: int) -> type[ProviderError]:
    if status >= 500:
        return UnavailableError
    return {401: AuthenticationError, 403: AuthenticationError, 429: ThrottledError}.get(status, ProviderError)
