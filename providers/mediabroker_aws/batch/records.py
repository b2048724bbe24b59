"""What workers leave in a job's folder for whoever asks: what was made, or in better words than an exit code, why not.

The formats are the worker's; "The worker" in docs/howto/aws-batch.md describes them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mediabroker.errors import ErrorCode, InvalidJobError, JobError, ProviderError
from mediabroker.models import readable
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker.spi import Call, Flow, Reply, ask

__all__ = ["read_failure", "read_result"]

_log = logging.getLogger(__name__)


R = TypeVar("R", bound=BaseModel)


class _Result(BaseModel):
    token: str
    result: VideoResult


class _Failure(BaseModel):
    attempt: int
    exit_code: int
    error: JobError


def read_failure(detail: Mapping[str, Any]) -> Flow[JobError | None]:
    """What the last attempt of a job that failed said of itself; None: it did not come to say anything.

    Raises:
        ProviderError: the store cannot be asked now.
    """
    exit_code = detail.get("container", {}).get("exitCode")
    task = _variable(detail, "MEDIABROKER_TASK")
    if not exit_code or task is None:
        return None
    index = detail.get("arrayProperties", {}).get("index")
    unit = task if index is None else f"{task}-{index:06d}"
    text = yield from _read(detail, f"{unit}.error.json")
    failure = _parse(_Failure, text)
    if failure is None or (failure.exit_code, failure.attempt) != (exit_code, len(detail.get("attempts", ()))):
        return None  # of an earlier attempt, or of another job with the same token
    # Who was told to stop does not know why; Batch does.
    return None if failure.error.code is ErrorCode.PREEMPTED else failure.error


def read_result(detail: Mapping[str, Any], output: MediaURI | None) -> Flow[VideoResult | None]:
    """What a job that succeeded has published at `output`; None: it does not say.

    Raises: as `read_failure`.
    """
    text = yield from _read(detail, "result.json")
    published = _parse(_Result, text)
    if published is None or output not in [each.uri for each in published.result.outputs]:
        return None
    return published.result


def _read(detail: Mapping[str, Any], name: str) -> Flow[str | None]:
    manifest = _variable(detail, "MEDIABROKER_MANIFEST") or ""
    try:
        uri = MediaURI(f"{manifest.rpartition('/')[0]}/{name}")
    except InvalidJobError:
        return None
    try:
        reply: Reply = yield from ask(Call("s3", "GetObject", {"uri": str(uri)}))
    except ProviderError as refusal:
        if refusal.retryable:
            raise
        # Whoever asks may not look into the folder: the exit code must do.
        _log.info("a worker's record could not be read: %s", refusal)
        return None
    body = reply.get("body")
    return body if isinstance(body, str) else None


def _variable(detail: Mapping[str, Any], name: str) -> str | None:
    environment = detail.get("container", {}).get("environment", ())
    return next((str(each["value"]) for each in environment if each.get("name") == name and "value" in each), None)


def _parse(kind: type[R], text: str | None) -> R | None:
    if text is None:
        return None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        _log.warning("a worker's record is not understood: %s", readable(error, show_values=False))
        return None
