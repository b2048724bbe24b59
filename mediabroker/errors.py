"""What can go wrong: one value that describes a job's failure, and one tree of exceptions.

    MediaBrokerError
      ConfigurationError (ValueError)
        MissingDependencyError (ImportError)    names the `pip install` that mends it
      InvalidJobError (ValueError)              the request itself is wrong; nothing was sent
        UnsupportedError                        nobody in play can express it; nothing was sent
      IdempotencyConflictError (ValueError)     the key is taken by another request
      JobNotFoundError (LookupError)
      MessageNotFoundError (LookupError)        nothing of that id is quarantined
      BrokerClosedError (RuntimeError)          the broker was closed; the job goes on
      JobFailedError                            carries the job's `JobError` and its result so far
      MediaError (ValueError)                   a file cannot be read, processed or written; carries a `JobError`
      StoreError
        StoreBusyError (TimeoutError)
      ProviderError                             a vendor refused, or could not be reached
        AuthenticationError  ThrottledError  UnavailableError
        SubmissionUnknownError                  a create was sent and nobody can say yet whether it was accepted

Waiting too long raises the built-in `TimeoutError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, field_validator

from mediabroker.redaction import redact, redact_value

__all__ = [
    "AuthenticationError",
    "Blame",
    "BrokerClosedError",
    "ConfigurationError",
    "ErrorCode",
    "IdempotencyConflictError",
    "InvalidJobError",
    "JobError",
    "JobFailedError",
    "JobNotFoundError",
    "MediaBrokerError",
    "MediaError",
    "MessageNotFoundError",
    "MissingDependencyError",
    "ProviderError",
    "StoreBusyError",
    "StoreError",
    "SubmissionUnknownError",
    "ThrottledError",
    "UnavailableError",
    "UnsupportedError",
]

Blame = Literal["caller", "media", "provider", "capacity", "unknown"]


class ErrorCode(str, Enum):
    """Why a job failed, in words that mean the same on every provider."""

    INVALID_SPEC = "INVALID_SPEC"
    UNSUPPORTED = "UNSUPPORTED"
    AUTH = "AUTH"
    QUOTA = "QUOTA"
    RATE_LIMITED = "RATE_LIMITED"
    INPUT_NOT_FOUND = "INPUT_NOT_FOUND"
    INPUT_DENIED = "INPUT_DENIED"
    INPUT_CHANGED = "INPUT_CHANGED"
    MEDIA_UNSUPPORTED = "MEDIA_UNSUPPORTED"
    MEDIA_CORRUPT = "MEDIA_CORRUPT"
    OUTPUT_DENIED = "OUTPUT_DENIED"
    OUTPUT_EXISTS = "OUTPUT_EXISTS"
    OUTPUT_MISSING = "OUTPUT_MISSING"
    PARTIAL = "PARTIAL"
    CAPACITY = "CAPACITY"
    PREEMPTED = "PREEMPTED"
    TIMEOUT = "TIMEOUT"
    DEADLINE = "DEADLINE"
    WORKER_CRASHED = "WORKER_CRASHED"
    OUT_OF_RESOURCES = "OUT_OF_RESOURCES"
    PROVIDER_INTERNAL = "PROVIDER_INTERNAL"
    LOST = "LOST"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    def __str__(self) -> str:
        return self.value


_BLAME: Mapping[ErrorCode, Blame] = {
    ErrorCode.INVALID_SPEC: "caller",
    ErrorCode.UNSUPPORTED: "caller",
    ErrorCode.AUTH: "caller",
    ErrorCode.QUOTA: "capacity",
    ErrorCode.RATE_LIMITED: "capacity",
    ErrorCode.INPUT_NOT_FOUND: "caller",
    ErrorCode.INPUT_DENIED: "caller",
    ErrorCode.INPUT_CHANGED: "caller",
    ErrorCode.MEDIA_UNSUPPORTED: "media",
    ErrorCode.MEDIA_CORRUPT: "media",
    ErrorCode.OUTPUT_DENIED: "caller",
    ErrorCode.OUTPUT_EXISTS: "caller",
    ErrorCode.OUTPUT_MISSING: "provider",
    ErrorCode.PARTIAL: "unknown",
    ErrorCode.CAPACITY: "capacity",
    ErrorCode.PREEMPTED: "capacity",
    ErrorCode.TIMEOUT: "capacity",
    ErrorCode.DEADLINE: "caller",
    ErrorCode.WORKER_CRASHED: "provider",
    ErrorCode.OUT_OF_RESOURCES: "capacity",
    ErrorCode.PROVIDER_INTERNAL: "provider",
    ErrorCode.LOST: "unknown",
    ErrorCode.CANCELLED: "caller",
    ErrorCode.UNKNOWN: "unknown",
}

_RETRYABLE = frozenset(
    {
        ErrorCode.RATE_LIMITED,
        ErrorCode.CAPACITY,
        ErrorCode.PREEMPTED,
        ErrorCode.TIMEOUT,
        ErrorCode.WORKER_CRASHED,
        ErrorCode.PROVIDER_INTERNAL,
    }
)


class JobError(BaseModel):
    """Why a job, an attempt or one item of it failed.

    `blame` says who has to act, `retryable` whether the same request may succeed later; both follow from `code`
    when built with `JobError.of`. `raw` is the vendor's own payload, never read by the core.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: ErrorCode
    blame: Blame
    retryable: bool
    message: str
    provider_code: str | None = None
    request_id: str | None = None
    raw: JsonValue = None

    @field_validator("message", "provider_code", "raw", mode="before")
    @classmethod
    def _without_secrets(cls, said: Any) -> Any:
        return redact_value(said)  # a vendor may repeat what it was sent

    @classmethod
    def of(cls, code: ErrorCode, message: str, **details: Any) -> JobError:
        """The error with the blame and retryability that its code usually has; `details` override any field."""
        fields: dict[str, Any] = {"blame": _BLAME[code], "retryable": code in _RETRYABLE, **details}
        return cls(code=code, message=message, **fields)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class MediaBrokerError(Exception):
    """Root of everything this package raises on purpose. Its text holds no secret."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(redact(each) if isinstance(each, str) else each for each in args))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process pools; keyword-only constructors break the default protocol.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[MediaBrokerError], args: tuple[Any, ...], state: dict[str, Any]) -> MediaBrokerError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(MediaBrokerError, ValueError):
    """A setting is missing, unknown or wrong."""


class MissingDependencyError(ConfigurationError, ImportError):
    """An optional package is not installed; the message names the command that installs it."""


class InvalidJobError(MediaBrokerError, ValueError):
    """The job's own description is wrong. Nothing was stored or sent; never retry it unchanged."""


class UnsupportedError(InvalidJobError):
    """The request is well-formed, but no provider in play can express it. Nothing was stored or sent."""


class IdempotencyConflictError(MediaBrokerError, ValueError):
    """The idempotency key already belongs to a different request. Nothing was sent."""


class JobNotFoundError(MediaBrokerError, LookupError):
    """Neither the store nor the provider knows the job."""


class MessageNotFoundError(MediaBrokerError, LookupError):
    """Nothing of that id is in the quarantine."""


class BrokerClosedError(MediaBrokerError, RuntimeError):
    """The broker is closed, or was closed while somebody waited; jobs go on, and another broker finds them."""


class JobFailedError(MediaBrokerError):
    """The job ended FAILED or CANCELLED.

    `error` says why; `ref` is the printable job reference; `result` holds what exists, with one item per source
    when the job had several.
    """

    def __init__(self, error: JobError, *, ref: str | None = None, result: Any = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.ref = ref
        self.result = result


class MediaError(MediaBrokerError, ValueError):
    """A media file cannot be read, processed or written; `error` is what the job reports."""

    def __init__(self, code: ErrorCode, message: str, **details: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.error = JobError.of(code, message, **details)


class StoreError(MediaBrokerError):
    """The store cannot be opened, read or written; what was acknowledged before is intact."""


class StoreBusyError(StoreError, TimeoutError):
    """Another process held the store's write lock for longer than the configured wait."""


class ProviderError(MediaBrokerError):
    """A provider refused a call, or could not be reached before a byte was sent: the call had no effect.

    `provider_code` and `request_id` are the vendor's own; `retry_after_s` is the vendor's wish in seconds.
    """

    retryable_by_default = False

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        operation: str | None = None,
        provider_code: str | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        raw: JsonValue = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.operation = operation
        self.provider_code = provider_code
        self.request_id = request_id
        self.retryable = self.retryable_by_default if retryable is None else retryable
        self.retry_after_s = retry_after_s
        self.raw = redact_value(raw)


class AuthenticationError(ProviderError):
    """The provider does not accept the credentials, or they may not do this."""


class ThrottledError(ProviderError):
    """The provider asks for fewer calls."""

    retryable_by_default = True


class UnavailableError(ProviderError):
    """The provider could not be reached, or says that it is out of order."""

    retryable_by_default = True


class SubmissionUnknownError(ProviderError):
    """A creating call was sent and its outcome is not known; `ref` names the job that will tell."""

    def __init__(self, message: str, *, ref: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.ref = ref
