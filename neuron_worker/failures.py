"""How a run of the worker can end: exit codes, and every exception as the `JobError` that the job reports."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from enum import IntEnum
from threading import Event

from mediabroker.errors import (
    AuthenticationError,
    ConfigurationError,
    ErrorCode,
    InvalidJobError,
    JobError,
    MediaBrokerError,
    MediaError,
    ProviderError,
    ThrottledError,
)

__all__ = ["DuplicateWorkError", "Exit", "InterruptedWorkError", "describe_failure", "exit_code_of", "heed"]


class Exit(IntEnum):
    """What the process's exit code means, and whether starting it again can help.

    The numbers follow BSD's sysexits where one fits.
    """

    OK = 0
    INVALID = 64
    """The job document or the command line is wrong. Never again unchanged."""
    BAD_INPUT = 65
    """The media cannot be processed. Never again unchanged."""
    INTERNAL = 70
    """A fault of the worker or of the machine. Once more at most."""
    LIMIT = 71
    """Disk, memory or another limit was too small. Again with more of it."""
    OUTPUT = 73
    """The output may not be written, or is there already. Never again unchanged."""
    INTERRUPTED = 75
    """Told to stop (SIGTERM, SIGINT), or a store cannot be asked now; finished slices are kept. Again, always."""
    DUPLICATE = 76
    """Another process is doing this work right now. Not again; ask how the other one fares."""

    @property
    def is_final(self) -> bool:
        """Whether the same work would end so again: what was begun is of no use."""
        return self in (Exit.INVALID, Exit.BAD_INPUT, Exit.OUTPUT)


class InterruptedWorkError(MediaBrokerError):
    """The work was told to stop before it was done; what is finished is kept."""


class DuplicateWorkError(MediaBrokerError):
    """Another live process holds the claim to the same work."""


def heed(stop: Event) -> None:
    """Raise `InterruptedWorkError` if `stop` is set; called wherever work could go on for long."""
    if stop.is_set():
        raise InterruptedWorkError("told to stop")


_EXITS: Mapping[ErrorCode, Exit] = {
    ErrorCode.INVALID_SPEC: Exit.INVALID,
    ErrorCode.UNSUPPORTED: Exit.INVALID,
    ErrorCode.AUTH: Exit.INVALID,
    ErrorCode.INPUT_NOT_FOUND: Exit.BAD_INPUT,
    ErrorCode.INPUT_DENIED: Exit.BAD_INPUT,
    ErrorCode.INPUT_CHANGED: Exit.BAD_INPUT,
    ErrorCode.MEDIA_UNSUPPORTED: Exit.BAD_INPUT,
    ErrorCode.MEDIA_CORRUPT: Exit.BAD_INPUT,
    ErrorCode.PARTIAL: Exit.BAD_INPUT,
    ErrorCode.OUTPUT_DENIED: Exit.OUTPUT,
    ErrorCode.OUTPUT_EXISTS: Exit.OUTPUT,
    ErrorCode.OUT_OF_RESOURCES: Exit.LIMIT,
    ErrorCode.PREEMPTED: Exit.INTERRUPTED,
}
_KINDS: tuple[tuple[type[Exception], ErrorCode], ...] = (
    (InterruptedWorkError, ErrorCode.PREEMPTED),
    (InvalidJobError, ErrorCode.INVALID_SPEC),
    (ConfigurationError, ErrorCode.UNSUPPORTED),
    (AuthenticationError, ErrorCode.AUTH),
    (ThrottledError, ErrorCode.RATE_LIMITED),
    (ProviderError, ErrorCode.PROVIDER_INTERNAL),
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM, errno.EMFILE})


def describe_failure(error: BaseException) -> JobError:
    """What the job reports for an exception that ended the work."""
    if isinstance(error, MediaError):
        return error.error
    if isinstance(error, DuplicateWorkError):
        return JobError.of(ErrorCode.UNKNOWN, str(error), provider_code="duplicate", retryable=False)
    for kind, code in _KINDS:
        if isinstance(error, kind):
            return JobError.of(code, str(error))
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in _FULL:
        return JobError.of(ErrorCode.OUT_OF_RESOURCES, f"a limit of this machine was reached: {error or 'memory'}")
    return JobError.of(ErrorCode.WORKER_CRASHED, f"{type(error).__name__}: {error}")


def exit_code_of(error: BaseException) -> Exit:
    """The exit code for an exception that ended the work."""
    if isinstance(error, DuplicateWorkError):
        return Exit.DUPLICATE
    if isinstance(error, ProviderError) and error.retryable:
        return Exit.INTERRUPTED
    return _EXITS.get(describe_failure(error).code, Exit.INTERNAL)
