"""Alibaba Cloud's error codes in our words: what was refused, whose fault it is, and what nobody knows the outcome of.

Source: Alibaba Cloud MPS, "Error codes" and "Common error codes"; API Gateway, "Error codes". Which HTTP status goes
with an MPS code is not documented, so codes decide and the status only where a code is in no table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mediabroker.errors import (
    AuthenticationError,
    ErrorCode,
    JobError,
    ProviderError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["EXPIRED", "PROVIDER", "explain_failure", "refusal", "refusal_error", "unanswered"]

PROVIDER = "mps"
EXPIRED = "InvalidSecurityToken.Expired"
"""Temporary credentials that were good once: whoever reads them again may get new ones."""

_CODES: Sequence[tuple[str, ErrorCode]] = (
    ("Throttling", ErrorCode.RATE_LIMITED),
    ("InvalidAccessKeyId", ErrorCode.AUTH),
    ("InvalidAccessKeySecret", ErrorCode.AUTH),
    ("SignatureDoesNotMatch", ErrorCode.AUTH),
    ("IncompleteSignature", ErrorCode.AUTH),
    ("InvalidSignatureMethod", ErrorCode.AUTH),
    ("InvalidSecurityToken", ErrorCode.AUTH),
    ("InvalidTimeStamp", ErrorCode.AUTH),
    ("Forbidden", ErrorCode.AUTH),
    ("NoPermission", ErrorCode.AUTH),
    ("InvalidIdentity", ErrorCode.AUTH),
    ("PermissionDenied.ResourceQuotaExceed", ErrorCode.QUOTA),
    ("PermissionDenied.ResourceAccess", ErrorCode.INPUT_DENIED),
    ("PermissionDenied", ErrorCode.AUTH),
    ("InvalidParameter.ResourceContentBad", ErrorCode.MEDIA_CORRUPT),
    ("InvalidParameter.ResourceNotSupported", ErrorCode.MEDIA_UNSUPPORTED),
    ("InvalidParameter.NoAudioStream", ErrorCode.MEDIA_UNSUPPORTED),
    ("InvalidParameter.MergeFileNoVideoOrAudio", ErrorCode.MEDIA_UNSUPPORTED),
    ("InvalidParameter.ResourceDeleted", ErrorCode.INPUT_NOT_FOUND),
    ("InvalidParameter.ServiceNotSupportRegion", ErrorCode.UNSUPPORTED),
    ("InvalidParameter.NotSupported", ErrorCode.UNSUPPORTED),
    ("Parameters.NotSupported", ErrorCode.UNSUPPORTED),
    ("NotSupportedJob", ErrorCode.UNSUPPORTED),
    ("InvalidParameter", ErrorCode.INVALID_SPEC),
    ("ParameterNotBoolean", ErrorCode.INVALID_SPEC),
    ("Missing", ErrorCode.INVALID_SPEC),
    ("InvalidApi.NotFound", ErrorCode.UNSUPPORTED),
    ("InvalidAction.NotFound", ErrorCode.UNSUPPORTED),
    ("UnsupportedOperation", ErrorCode.UNSUPPORTED),
    ("NoSuchVersion", ErrorCode.UNSUPPORTED),
    ("InvalidVersion", ErrorCode.UNSUPPORTED),
    ("InternalError", ErrorCode.PROVIDER_INTERNAL),
    ("ServiceUnavailable", ErrorCode.PROVIDER_INTERNAL),
)
"""How a code begins, and what it amounts to; the first that fits."""

_OF_JOBS: Sequence[tuple[str, ErrorCode]] = (
    # An accepted job's pipeline and template were found: what is missing then is its input.
    ("InvalidParameter.ResourceNotFound", ErrorCode.INPUT_NOT_FOUND),
    ("NoSuchKey", ErrorCode.INPUT_NOT_FOUND),
    ("NoSuchBucket", ErrorCode.INPUT_NOT_FOUND),
    ("AccessDenied", ErrorCode.INPUT_DENIED),
    *_CODES,
)

_CLASSES: Mapping[ErrorCode, type[ProviderError]] = {
    ErrorCode.RATE_LIMITED: ThrottledError,
    ErrorCode.AUTH: AuthenticationError,
    ErrorCode.PROVIDER_INTERNAL: UnavailableError,
}
_STATUSES: Mapping[int, type[ProviderError]] = {401: AuthenticationError, 403: AuthenticationError, 429: ThrottledError}
_REPLAYED = "SignatureNonceUsed"
"""Somebody between us and the vendor has sent a request twice; the first one may have been accepted."""
_HINTS: Mapping[str, str] = {
    "InvalidTimeStamp": "; the clock of this machine is more than 15 minutes off",
    "InvalidIdentity.ServiceDisabled": "; is MPS activated, paid for, and allowed the role AliyunMTSDefaultRole?",
}
_BY_CLASS: Sequence[tuple[type[ProviderError], ErrorCode]] = (
    (AuthenticationError, ErrorCode.AUTH),
    (ThrottledError, ErrorCode.RATE_LIMITED),
    (UnavailableError, ErrorCode.PROVIDER_INTERNAL),
    (SubmissionUnknownError, ErrorCode.UNKNOWN),
)
_NOTHING_SENT = re.compile(
    r"NewConnectionError|ConnectTimeout|Failed to establish a new connection|Tunnel connection failed"
    r"|CERTIFICATE_VERIFY_FAILED|certificate verify failed|hostname .* doesn't match"
)
"""How the SDK words a connection that never came about. `Cannot connect to proxy` says nothing: where a proxy is used,
every broken connection is called so, also one that has carried the request. Source: urllib3 and requests as
aliyun-python-sdk-core 2.16.1 brings them along."""
_CAUSE = "(Caused by "
"""What the SDK's message says of the cause stands behind this; before it stands the URL with our own words."""
_OUR_OWN_WORDS = re.compile(
    r"[\s,;:.]*(?:\bserver\s+)?string[\s_-]*to[\s_-]*sign.*|[\s,;:.]*\S*\b(?:SecurityToken|Signature)(?:=|%).*",
    re.IGNORECASE | re.DOTALL,
)
"""Where a message begins to repeat the request, and with it the security token of temporary credentials: a refused
signature's does, `server string to sign is:...`, and a proxy's page may. Source: RPC gateway, error codes,
SignatureDoesNotMatch.
"""


def refusal(
    code: str, message: str, *, operation: str, status: int = 0, request_id: str | None = None, creates: bool = False
) -> ProviderError:
    """What to raise for an error that the vendor has answered.

    With `creates`, a server's own trouble leaves open whether the call took effect. Of the message nothing is kept that
    repeats the request: an error is printed and stored, and the request bears the security token.
    """
    if 300 <= status < 400:  # nothing was done at this address
        return ProviderError(
            f"{operation}: redirected ({status}); MPS has another address, see endpoint_url",
            provider=PROVIDER,
            operation=operation,
            provider_code=str(status),
            request_id=request_id,
        )
    told = _OUR_OWN_WORDS.sub("", message)
    meant = _lookup(_CODES, code)
    kind = _CLASSES.get(meant, ProviderError) if meant else _STATUSES.get(status, ProviderError)
    if status >= 500 and kind is ProviderError:
        kind = UnavailableError
    if creates and (kind is UnavailableError or code == _REPLAYED):
        kind = SubmissionUnknownError
    hint = next((text for start, text in _HINTS.items() if code.startswith(start)), "")
    return kind(
        f"{operation}: {told or 'no message'} ({code}){hint}",
        provider=PROVIDER,
        operation=operation,
        provider_code=code or None,
        request_id=request_id,
    )


def unanswered(message: str, *, operation: str, creates: bool) -> ProviderError:
    """What to raise for a call without an answer; `message` is the SDK's, which quotes the signed URL."""
    about: dict[str, Any] = {"provider": PROVIDER, "operation": operation}
    if _NOTHING_SENT.search(message.partition(_CAUSE)[2]):
        return UnavailableError(f"{operation}: MPS cannot be reached", **about)
    kind = SubmissionUnknownError if creates else UnavailableError
    return kind(f"{operation}: MPS gave no answer that can be read, or none in time", **about)


def refusal_error(failure: ProviderError) -> JobError:
    """The job error that a refused call amounts to."""
    named = failure.provider_code if failure.provider_code in ErrorCode.__members__ else None
    code = ErrorCode(named) if named else _lookup(_CODES, failure.provider_code or "")
    code = code or next((each for kind, each in _BY_CLASS if isinstance(failure, kind)), ErrorCode.PROVIDER_INTERNAL)
    return JobError.of(
        code,
        str(failure) or "refused without a word",
        provider_code=failure.provider_code,
        request_id=failure.request_id,
        raw=failure.raw,
    )


def explain_failure(code: object, message: object, *, request_id: str | None = None) -> JobError:
    """Why an accepted job failed, from the code and message that the vendor gave it."""
    word = code if isinstance(code, str) else ""
    text = message if isinstance(message, str) and message else "the job failed without a reason"
    return JobError.of(
        _lookup(_OF_JOBS, word) or ErrorCode.UNKNOWN,
        f"{text} ({word})" if word else text,
        provider_code=word or None,
        request_id=request_id,
    )


def _lookup(table: Sequence[tuple[str, ErrorCode]], code: str) -> ErrorCode | None:
    return next((meant for start, meant in table if code.startswith(start)), None)
