"""The end of a job: slices become the output, once, and what led there goes away."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Literal

from mediabroker.errors import ErrorCode, MediaBrokerError, MediaError
from mediabroker.models import Value
from mediabroker.results import Output, VideoResult
from neuron_worker.failures import heed
from neuron_worker.fleet.claims import claim_name
from neuron_worker.fleet.shelf import upload
from neuron_worker.fleet.slices import record_name, slice_unit, video_name
from neuron_worker.fleet.worker import PLAN, Worker
from neuron_worker.job import Job
from neuron_worker.video.pipeline import merge_and_publish
from neuron_worker.video.plan import Plan
from neuron_worker.video.slicework import FinishedSlice
from neuron_worker.video.source import SourceWatch

__all__ = ["RESULT", "Published", "error_name", "find_published", "publish", "tidy"]

_log = logging.getLogger(__name__)

RESULT = "result.json"
_MERGED = "merged.json"
_UNIT = "merge"


class Published(Value, frozen=True):
    """What the job has made. In `merged.json`, what it is about to publish; in `result.json`, what is published."""

    version: Literal[1] = 1
    token: str
    result: VideoResult


def error_name(unit: str) -> str:
    """Where it is told why an attempt at a unit of work failed."""
    return f"{unit}.error.json"


def find_published(worker: Worker) -> Published | None:
    """What the job has published, if it has."""
    return worker.shelf.read(RESULT, Published)


def publish(worker: Worker, plan: Plan | None, gather: Callable[[Worker, Job], None]) -> VideoResult:
    """Publish the job's output, unless that is done.

    Args:
        worker: who does it.
        plan: the stored plan, if there is one.
        gather: brings all finished slices into the job's folder.

    Raises:
        MediaError: `OUTPUT_EXISTS`, something else is at the output and `overwrite` is off; `OUTPUT_DENIED`;
            `OUTPUT_MISSING`, the slices are not what the plan asks for.
        ProviderError, ConfigurationError, InterruptedWorkError.
    """
    began = time.monotonic()
    with worker.claims.hold(_UNIT, lambda: find_published(worker) is not None, worker.stop) as mine:
        if mine and not _was_published_before(worker):
            with worker.open(plan) as job:
                gather(worker, job)
                _merge_and_upload(worker, job, began)
    published = find_published(worker)
    assert published is not None
    return published.result


def tidy(worker: Worker) -> None:
    """Remove what nobody needs after the output is published; with `debug` everything stays."""
    if worker.manifest.job.debug:
        return
    try:
        for name in _intermediates(worker):
            worker.shelf.delete(name)
    except MediaBrokerError as error:
        # The job is done; what stays behind costs storage only.
        _log.warning("intermediates could not be removed: %s", error)


def _was_published_before(worker: Worker) -> bool:
    """Whether an earlier attempt got as far as the output, and only did not come to say so.

    Raises:
        MediaError: `OUTPUT_EXISTS`, what is at the output is not this job's.
    """
    merged = worker.shelf.read(_MERGED, Published)
    if merged is not None and _is_there(worker, merged.result.outputs[0]):
        worker.shelf.put(RESULT, merged)
        return True
    wanted = worker.manifest.job
    if not wanted.overwrite and worker.stores.of(wanted.output).stat(wanted.output) is not None:
        raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{wanted.output} exists; set overwrite to replace it")
    return False


def _merge_and_upload(worker: Worker, job: Job, began: float) -> None:
    wanted = worker.manifest.job
    result = merge_and_publish(job, SourceWatch(job.document.job.input.path), began, worker.stop)
    local = result.outputs[0]
    output = local.model_copy(update={"uri": wanted.output})
    # Of several workers' work nobody knows the sum.
    elapsed_s = result.elapsed_s if worker.manifest.slice_count == 1 else None
    result = result.model_copy(update={"outputs": (output,), "elapsed_s": elapsed_s})
    merged = Published(token=worker.manifest.token, result=result)
    worker.shelf.put(_MERGED, merged)
    content = upload(local.uri.path, worker.stop)
    try:
        worker.stores.of(wanted.output).write(wanted.output, content, overwrite=wanted.overwrite)
    except MediaError as error:
        # Another worker of this job may have been faster.
        if error.error.code is not ErrorCode.OUTPUT_EXISTS or not _is_there(worker, output):
            raise
    worker.shelf.put(RESULT, merged)


def _is_there(worker: Worker, output: Output) -> bool:
    """Whether these very bytes are at the output."""
    store = worker.stores.of(output.uri)
    found = store.stat(output.uri)
    if found is None or found.size_bytes != output.size_bytes:
        return False
    digest = hashlib.sha256()
    for chunk in store.read(output.uri):
        heed(worker.stop)
        digest.update(chunk)
    return digest.hexdigest() == output.sha256


def _intermediates(worker: Worker) -> Iterator[str]:
    """Names in the job's folder, the plan last: as long as it is there, the rest can be found."""
    plan = worker.plan()
    for index in range(max(worker.manifest.slice_count, len(plan.slices) if plan else 0)):
        record = worker.shelf.read(record_name(index), FinishedSlice)
        if record is not None and record.sha256 is not None:
            yield video_name(record)
        yield from (record_name(index), claim_name(slice_unit(index)), error_name(slice_unit(index)))
    yield from (_MERGED, claim_name(_UNIT), error_name(_UNIT), error_name("single"), PLAN)
