"""oss2's exceptions as ours, and what a refusal means for the object that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oss2.exceptions import ClientError, InconsistentError, OssError, RequestError

from mediabroker.errors import (
    AuthenticationError,
    ErrorCode,
    MediaError,
    ProviderError,
    ThrottledError,
    UnavailableError,
)
from mediabroker.refs import MediaURI

__all__ = ["EXISTS", "EXPIRED", "MISSING", "NO_UPLOAD", "explain", "translate"]

EXISTS = "FileAlreadyExists"
NO_UPLOAD = "NoSuchUpload"
MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
EXPIRED = frozenset({"SecurityTokenExpired", "InvalidSecurityToken"})
"""Credentials that were good once: whoever reads them again may get new ones."""

_KINDS: Mapping[str, type[ProviderError]] = {
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"), AuthenticationError),
    **dict.fromkeys(("AccessDenied", "UserDisable", "InvalidAccessKeyIdInactive", *EXPIRED), AuthenticationError),
    **dict.fromkeys(("TooManyRequests", "QpsLimitExceeded", "DownloadTrafficRateLimitExceeded"), ThrottledError),
    **dict.fromkeys(("InternalError", "ServiceUnavailable", "RequestTimeout"), UnavailableError),
}
"""Source: Alibaba Cloud OSS, API reference, "Error responses"."""
_HINTS = {"RequestTimeTooSkewed": "; this machine's clock is more than 15 minutes off"}
_REGION_WORDS = (
    "must be addressed using the specified endpoint",
    "Invalid signing region",
    "Invalid credential region",
)
_CHANGED = ("PreconditionFailed", "412")
_REASONS = {
    "403": "access is denied",
    "404": "it does not exist",
    "AccessDenied": "access is denied",
    "InvalidBucketName": "the service does not allow this bucket name",
    "InvalidObjectName": "the service does not allow this key",
    "InvalidObjectState": "it is archived; restore it first",
    "NoSuchBucket": "the bucket does not exist",
    "NoSuchKey": "it does not exist",
}


def translate(error: OssError, operation: str) -> ProviderError:
    """What to raise from `error`; its text quotes the service's message and no header, URL or string to sign."""
    about: dict[str, Any] = {"provider": "oss", "operation": operation, "request_id": error.request_id or None}
    if isinstance(error, RequestError):
        return UnavailableError(f"{operation}: {type(error.exception).__name__}: {_cause(error.exception)}", **about)
    if isinstance(error, InconsistentError):
        return UnavailableError(f"{operation}: what arrived is not what was sent (CRC-64)", **about)
    if isinstance(error, ClientError):
        return ProviderError(f"{operation}: {error.body}", **about)
    code = error.code or str(error.status)
    kind = _KINDS.get(code) or _by_status(error.status)
    message = f"{operation}: {error.message or 'no error document'} ({code}){_HINTS.get(code, '')}"
    raw = {"Endpoint": error.details["Endpoint"]} if error.details.get("Endpoint") else None
    return kind(message, provider_code=code, raw=raw, **about)


def _cause(error: BaseException) -> str:
    """The innermost reason: the outer ones print the whole URL."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return type(reason).__name__ if isinstance(reason, BaseException) else type(error).__name__


def _by_status(status: int) -> type[ProviderError]:
    if status >= 500:
        return UnavailableError
    return {401: AuthenticationError, 403: AuthenticationError, 429: ThrottledError}.get(status, ProviderError)


def explain(error: ProviderError, uri: MediaURI, *, writing: bool) -> Exception:
    """What the refusal means for the object; errors of credentials and of the service stay what they are."""
    code = error.provider_code or ""
    about = {"provider_code": error.provider_code, "request_id": error.request_id}
    denied = ErrorCode.OUTPUT_DENIED if writing else ErrorCode.INPUT_DENIED
    if any(words in str(error) for words in _REGION_WORDS):
        return MediaError(denied, f"{uri}: the bucket lies in {_where(error)}; {_how_to_say_so(uri, error)}", **about)
    if code == EXISTS:
        return MediaError(ErrorCode.OUTPUT_EXISTS, f"{uri} exists; set overwrite to replace it", **about)
    if code in _CHANGED:
        return MediaError(ErrorCode.INPUT_CHANGED, f"{uri} was replaced while it was read", **about)
    if code in MISSING and not writing:
        denied = ErrorCode.INPUT_NOT_FOUND
    if code in _REASONS:
        return MediaError(denied, f"{uri}: {_REASONS[code]}", **about)
    return error


def _endpoint(error: ProviderError) -> str:
    raw = error.raw
    return str(raw["Endpoint"]) if isinstance(raw, dict) and "Endpoint" in raw else ""


def _where(error: ProviderError) -> str:
    region = _endpoint(error).removeprefix("oss-").partition(".")[0]
    return f"region {region}" if region else "another region"


def _how_to_say_so(uri: MediaURI, error: ProviderError) -> str:
    host = _endpoint(error) or "oss-<region>.aliyuncs.com"
    return f"write oss://{uri.bucket}.{host}/{uri.key}, or set stores.oss.region"
