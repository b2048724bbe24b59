"""What went wrong, for people and for machines: one sentence, one exit code, one JSON object."""

from __future__ import annotations

from typing import Any

import typer
from pydantic import ValidationError

from mediabroker.errors import (
    ConfigurationError,
    IdempotencyConflictError,
    InvalidJobError,
    JobError,
    JobFailedError,
    JobNotFoundError,
    MediaError,
    MessageNotFoundError,
    ProviderError,
    StoreError,
)

__all__ = ["EXIT_CODES", "INTERNAL", "Interrupted", "UsageError", "describe_failure", "exit_code_of"]

INTERNAL = 70
"""Source: sysexits.h, EX_SOFTWARE."""

# typer has its own copy of click in newer releases; both spell the family this way.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class Interrupted(Exception):  # noqa: N818  it is no error: the user asked for it
    """Ctrl-C; the message says what became of the job."""


EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (Interrupted, 130),
    (KeyboardInterrupt, 130),
    (UsageError, 2),
    (InvalidJobError, 2),
    (IdempotencyConflictError, 2),
    (ConfigurationError, 3),
    (JobNotFoundError, 4),
    (MessageNotFoundError, 4),
    (ProviderError, 5),
    (StoreError, 6),
    (TimeoutError, 7),
    (JobFailedError, 1),
    (MediaError, 1),
    (OSError, 1),
)
"""The first class that fits decides: a busy store is a `StoreError` before it is a `TimeoutError`."""


def exit_code_of(error: BaseException) -> int:
    """The documented exit code of an exception; 70 for one that nobody foresaw."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), INTERNAL)


def describe_failure(error: BaseException) -> dict[str, Any]:
    """The error as the JSON that `--json` prints; `message` is the sentence for people."""
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "message": _sentence(error),
        "exit_code": exit_code_of(error),
    }
    job_error = getattr(error, "error", None)
    if isinstance(job_error, JobError):
        described |= job_error.model_dump(mode="json", include={"code", "blame", "retryable", "provider_code"})
    if isinstance(error, ProviderError):
        names = ("provider", "operation", "provider_code", "request_id", "retryable", "retry_after_s")
        described |= {name: getattr(error, name) for name in names}
    if ref := getattr(error, "ref", None):
        described["ref"] = str(ref)
    result = getattr(error, "result", None)
    if result is not None:
        described["result"] = result.model_dump(mode="json")
    return described


def _sentence(error: BaseException) -> str:
    if isinstance(error, UsageError):
        return _usage(error)
    if isinstance(error, (JobFailedError, MediaError)):
        return f"{error.error.message} ({error.error.code})"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if exit_code_of(error) == INTERNAL:
        return f"internal error, {type(error).__name__}: {error}; run again with --debug and report what it prints"
    return str(error)


def _usage(error: Any) -> str:
    path = error.ctx.command_path if error.ctx else "mediabroker"
    # Newer releases of typer validate with pydantic and leave out what was given.
    findings = error.__cause__.errors() if isinstance(error.__cause__, ValidationError) else []
    given = f" (given: {findings[0]['input']})" if findings else ""
    return f"{error.format_message().rstrip('.')}{given}; see {path} --help"
