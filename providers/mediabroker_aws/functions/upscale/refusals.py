"""What went wrong, as the answers of the super-resolution service: a status, a code, a sentence; never a 502."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from mediabroker.errors import (
    AuthenticationError,
    ErrorCode,
    IdempotencyConflictError,
    JobError,
    JobNotFoundError,
    MediaError,
    ProviderError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
)
from mediabroker.flows.engine import HoldError
from mediabroker_aws.batch.states import refusal_error
from mediabroker_aws.functions.proxy import RefusedError, respond
from mediabroker_aws.functions.upscale.order import InvalidOrderError
from mediabroker_aws.functions.upscale.vendor import is_throttled
from mediabroker_aws.service.wire import INTERNAL, NOT_FOUND

__all__ = ["build_error", "build_refusal", "explain"]

_log = logging.getLogger(__name__)

_WAIT_S = 5
"""What `Retry-After` says where nobody knows better."""
_STATUSES: Mapping[ErrorCode, int] = {
    ErrorCode.INVALID_SPEC: 400,
    ErrorCode.UNSUPPORTED: 400,
    ErrorCode.INPUT_DENIED: 403,
    ErrorCode.OUTPUT_DENIED: 403,
    ErrorCode.INPUT_NOT_FOUND: 404,
    ErrorCode.INPUT_CHANGED: 409,
    ErrorCode.OUTPUT_EXISTS: 409,
    ErrorCode.MEDIA_CORRUPT: 422,
    ErrorCode.MEDIA_UNSUPPORTED: 422,
}
"""What a job's error says of the request; every other refusal is the service's own trouble, 500."""


def build_error(status: int, code: str, message: str, *, fields: Any = None, **headers: str) -> dict[str, JsonValue]:
    """A refusal; `fields` tell what is wrong with which field of the body."""
    error: dict[str, JsonValue] = {"code": str(code), "message": message, **({"fields": fields} if fields else {})}
    return respond(status, {"error": error}, **headers)


def build_refusal(error: Exception) -> dict[str, JsonValue]:
    """Any exception as an answer."""
    for kind, answer in _ANSWERS:
        if isinstance(error, kind):
            return answer(error)
    _log.error("the service has failed", exc_info=error)
    return build_error(500, INTERNAL, _unforeseen(error))


def explain(error: Exception) -> JobError:
    """Any exception as the error of a job in a list, which is answered for the other jobs' sake."""
    if (
        isinstance(error, MediaError) and error.error.blame != "provider"
    ):  # a damaged record is the service's own trouble
        return error.error
    if isinstance(error, ProviderError):
        return refusal_error(error)
    return JobError.of(ErrorCode.PROVIDER_INTERNAL, _unforeseen(error))


def _unforeseen(error: Exception) -> str:
    return f"the service has failed ({type(error).__name__}); its log says more"


def _of_vendor(error: ProviderError) -> dict[str, JsonValue]:
    if isinstance(error, ThrottledError | UnavailableError):
        return _later(429 if isinstance(error, ThrottledError) else 503, str(error), error.retry_after_s)
    _log.warning("AWS refuses a call: %s", error, extra={"request_id": error.request_id})
    if isinstance(error, AuthenticationError):
        return build_error(500, ErrorCode.AUTH, f"the service's own credentials do not do: {error}")
    return _of_job(refusal_error(error), named=error.provider_code in ErrorCode.__members__)


def _of_job(error: JobError, *, named: bool = True) -> dict[str, JsonValue]:
    """`named`: the code is about the request's media, not about how the service speaks to AWS."""
    if named and error.code in _STATUSES:
        return build_error(_STATUSES[error.code], error.code, error.message)
    code = error.code if named else ErrorCode.PROVIDER_INTERNAL
    return build_error(500, code, error.message)


def _later(status: int, message: str, after_s: float | None) -> dict[str, JsonValue]:
    code = ErrorCode.RATE_LIMITED if status == 429 else ErrorCode.PROVIDER_INTERNAL
    return build_error(status, code, message, Retry_After=str(math.ceil(max(1.0, after_s or _WAIT_S))))


_ANSWERS: Sequence[tuple[type[Exception], Callable[[Any], dict[str, JsonValue]]]] = (
    (InvalidOrderError, lambda it: build_error(it.status, ErrorCode.INVALID_SPEC, it.message, fields=it.findings)),
    (RefusedError, lambda it: build_error(it.status, ErrorCode.INVALID_SPEC, it.message)),
    (UnsupportedError, lambda it: build_error(400, ErrorCode.UNSUPPORTED, str(it))),
    (IdempotencyConflictError, lambda it: build_error(409, "IDEMPOTENCY_CONFLICT", str(it))),
    (JobNotFoundError, lambda it: build_error(404, NOT_FOUND, str(it))),
    (HoldError, lambda it: _later(429 if is_throttled(it) else 503, str(it), it.retry_after_s)),
    (MediaError, lambda it: _of_job(it.error)),
    (ProviderError, _of_vendor),
)
"""The first that fits."""
