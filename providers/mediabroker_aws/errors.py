"""botocore's exceptions as ours: what was refused, what may be asked again, and what nobody knows the outcome of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore import exceptions as botocore

from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    MediaBrokerError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["EXPIRED", "code_of", "translate"]

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
"""Credentials that were good once: whoever reads them again may get new ones."""

_REFUSALS: Mapping[type[ProviderError], frozenset[str]] = {
    AuthenticationError: EXPIRED
    | {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "KMS.AccessDeniedException",
        "KmsAccessDenied",
        "KmsDisabled",
        "KmsNotFound",
        "KmsOptInRequired",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    },
    ThrottledError: frozenset(
        {
            "KmsThrottled",
            "LimitExceededException",
            "OverLimit",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        }
    ),
    UnavailableError: frozenset(
        {
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "RequestTimeout",
            "ServerException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        }
    ),
}
"""Source: AWS General Reference, "Error responses" and each service's API reference, "Errors" (read in its models)."""

_BY_CODE = {code.lower(): kind for kind, codes in _REFUSALS.items() for code in codes}
_BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    429: ThrottledError,
    500: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}

_NOTHING_SENT = (
    botocore.ConnectTimeoutError,
    botocore.EndpointConnectionError,
    botocore.ProxyConnectionError,
    botocore.SSLError,
)
_NO_CREDENTIALS = (
    botocore.CredentialRetrievalError,
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.TokenRetrievalError,
)
_MISCONFIGURED = (
    botocore.ConfigNotFound,
    botocore.InvalidRegionError,
    botocore.NoRegionError,
    botocore.ProfileNotFound,
    botocore.UnknownEndpointError,
)


def code_of(error: BaseException) -> str:
    """The service's own error code, as `AccessDenied`, or `404` where it sent none; empty for other errors."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, botocore.ClientError) else ""


def translate(error: Exception, *, provider: str, operation: str, creates: bool = False) -> MediaBrokerError:
    """What to raise from `error`.

    With `creates`, an answer that does not tell whether the call took effect (a server's error, a connection that broke
    after the request was sent) is `SubmissionUnknownError`; without, it is worth another try.
    """
    about: dict[str, Any] = {"provider": provider, "operation": operation}
    if isinstance(error, botocore.ClientError):
        return _translate_answer(error, about, creates=creates)
    if isinstance(error, _MISCONFIGURED):
        return ConfigurationError(f"{provider}: {error}")
    if isinstance(error, _NO_CREDENTIALS):
        return AuthenticationError(f"{operation}: {error}", **about)
    if isinstance(error, _NOTHING_SENT):
        return UnavailableError(f"{operation}: {error}", **about)
    if isinstance(error, botocore.ParamValidationError):
        return ProviderError(f"{operation}: {error}", **about)
    kind = SubmissionUnknownError if creates else UnavailableError
    return kind(f"{operation}: {type(error).__name__}: {error}", **about)


def _translate_answer(error: Any, about: dict[str, Any], *, creates: bool) -> ProviderError:
    answer = error.response
    meta = answer.get("ResponseMetadata", {})
    status, headers = meta.get("HTTPStatusCode", 0), meta.get("HTTPHeaders", {})
    code = code_of(error)
    kind = _BY_CODE.get(code.lower().rpartition(".")[2]) or _BY_CODE.get(code.lower()) or _BY_STATUS.get(status)
    if creates and kind is UnavailableError:
        kind = SubmissionUnknownError
    message = answer.get("Error", {}).get("Message") or code
    return (kind or ProviderError)(
        f"{about['operation']}: {message} ({code})",
        **about,
        provider_code=code or None,
        request_id=meta.get("RequestId"),
        retry_after_s=_seconds(headers.get("retry-after")),
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
