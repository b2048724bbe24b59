from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
from pydantic import ValidationError

from mediabroker import errors
from mediabroker.errors import (
    AuthenticationError,
    BrokerClosedError,
    ConfigurationError,
    ErrorCode,
    IdempotencyConflictError,
    InvalidJobError,
    JobError,
    JobFailedError,
    JobNotFoundError,
    MediaBrokerError,
    MediaError,
    MissingDependencyError,
    ProviderError,
    StoreBusyError,
    SubmissionUnknownError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
)

DETAILS: dict[str, Any] = {
    "provider": "aws-batch",
    "operation": "SubmitJob",
    "provider_code": "TooManyRequests",
    "request_id": "r-1",
    "retry_after_s": 1.5,
    "raw": {"Message": "slow down"},
}
CLASSES = [
    each
    for each in vars(errors).values()
    if inspect.isclass(each) and issubclass(each, MediaBrokerError) and each.__module__ == errors.__name__
]


def example(cls: type[MediaBrokerError]) -> MediaBrokerError:
    if issubclass(cls, SubmissionUnknownError):
        return cls("no answer", ref="job:1/p/k/1", **DETAILS)
    if issubclass(cls, ProviderError):
        return cls("no", **DETAILS)
    if issubclass(cls, JobFailedError):
        return cls(JobError.of(ErrorCode.LOST, "gone"), ref="job:1/p/k/1", result={"outputs": []})
    if issubclass(cls, MediaError):
        return cls(ErrorCode.MEDIA_CORRUPT, "cut off", provider_code="moov")
    return cls("what went wrong")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling_with_all_it_carries(cls: type[MediaBrokerError], protocol: int) -> None:
    error = example(cls)
    twin = pickle.loads(pickle.dumps(error, protocol))
    assert type(twin) is cls
    assert (twin.args, vars(twin), str(twin)) == (error.args, vars(error), str(error))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_survives_copying(cls: type[MediaBrokerError]) -> None:
    error = example(cls)
    assert vars(copy.deepcopy(error)) == vars(error)


def test_every_error_of_the_module_is_public_and_documented() -> None:
    assert {cls.__name__ for cls in CLASSES} <= set(errors.__all__)
    assert errors.__doc__ is not None
    for cls in CLASSES:
        assert cls.__name__ in errors.__doc__
        assert cls.__doc__


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (ConfigurationError, ValueError),
        (MissingDependencyError, ImportError),
        (BrokerClosedError, RuntimeError),
        (InvalidJobError, ValueError),
        (UnsupportedError, InvalidJobError),
        (IdempotencyConflictError, ValueError),
        (JobNotFoundError, LookupError),
        (MediaError, ValueError),
        (StoreBusyError, TimeoutError),
    ],
)
def test_errors_are_caught_by_the_builtin_that_fits(cls: type[MediaBrokerError], builtin: type[BaseException]) -> None:
    with pytest.raises(builtin):
        raise example(cls)


@pytest.mark.parametrize(
    ("cls", "retryable"),
    [
        (ProviderError, False),
        (AuthenticationError, False),
        (ThrottledError, True),
        (UnavailableError, True),
        (SubmissionUnknownError, False),
    ],
)
def test_retryability_follows_the_class_unless_it_is_given(cls: type[ProviderError], retryable: bool) -> None:
    assert cls("no").retryable is retryable
    assert cls("no", retryable=not retryable).retryable is not retryable


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_blame_and_a_readable_text(code: ErrorCode) -> None:
    error = JobError.of(code, "because")
    assert error.blame in ("caller", "media", "provider", "capacity", "unknown")
    assert str(error) == f"{code.value}: because"
    assert str(code) == code.value


@pytest.mark.parametrize("code", [code for code in ErrorCode if JobError.of(code, "x").blame in ("caller", "media")])
def test_what_the_caller_or_the_media_is_to_blame_for_is_not_retried(code: ErrorCode) -> None:
    assert not JobError.of(code, "x").retryable


def test_details_override_what_the_code_says() -> None:
    error = JobError.of(ErrorCode.QUOTA, "full", retryable=True, blame="caller", request_id="r")
    assert (error.retryable, error.blame, error.request_id) == (True, "caller", "r")


def test_job_error_is_frozen_and_refuses_unknown_fields() -> None:
    error = JobError.of(ErrorCode.LOST, "gone")
    with pytest.raises(ValidationError):
        error.message = "other"  # type: ignore[misc]  # the point of the test
    with pytest.raises(ValidationError):
        JobError.of(ErrorCode.LOST, "gone", mesage="misspelt")


def test_job_failed_error_says_what_the_job_error_says() -> None:
    error = JobFailedError(JobError.of(ErrorCode.MEDIA_CORRUPT, "cut off"))
    assert str(error) == "MEDIA_CORRUPT: cut off"
