"""`python -m neuron_worker work`: one task of a job, as the environment of the container tells it."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Literal, Protocol, cast, get_args
from uuid import uuid4

from mediabroker.errors import InvalidJobError, JobError, MediaBrokerError
from mediabroker.models import Value
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker.storage import Stores
from neuron_worker.failures import Exit, describe_failure, exit_code_of
from neuron_worker.fleet.claims import PATIENCE_S, Claims
from neuron_worker.fleet.manifest import load_manifest
from neuron_worker.fleet.publishing import error_name, find_published, publish, tidy
from neuron_worker.fleet.scratch import Scratch
from neuron_worker.fleet.shelf import Shelf
from neuron_worker.fleet.slices import fetch_slices, find_slice, make_slices, slice_unit
from neuron_worker.fleet.worker import Worker
from neuron_worker.job import Job
from neuron_worker.progress import Progress

__all__ = ["Failure", "Order", "Task", "Tell", "end_in_time", "open_worker", "read_order", "work"]

_log = logging.getLogger(__name__)

Task = Literal["slice", "merge", "single"]

_GRACE_S = 8.0
"""A machine that is taken away waits 30 s from SIGTERM to SIGKILL, and this program promises 10."""
_PROGRESS_S = 10.0
"""Between two lines of a log that is kept, and paid for by the byte."""


class Tell(Protocol):
    """Prints one event."""

    def __call__(self, event: str, **content: object) -> None: ...


class Failure(Value, frozen=True):
    """Why attempt `attempt` of `holder` ended with `exit_code`."""

    holder: str
    attempt: int
    exit_code: int
    error: JobError


@dataclass(frozen=True)
class Order:
    """What one container shall do.

    `index` is the worker's place among those that share the slices; `holder` is the job that every attempt of this
    work has in common; `attempt` counts from 1.
    """

    task: Task
    manifest: MediaURI
    index: int
    holder: str
    attempt: int
    runtime: str
    threads: int | None
    scratch: Path
    patience_s: float

    @property
    def unit(self) -> str:
        """The name of this work."""
        return slice_unit(self.index) if self.task == "slice" else self.task


def read_order(environment: Mapping[str, str]) -> Order:
    """The order that the environment describes.

    Source of the names that begin with AWS_BATCH: AWS Batch User Guide, "AWS Batch job environment variables".

    Raises:
        InvalidJobError: a variable is missing or wrong; the message names it.
    """
    task = _choice(environment, "MEDIABROKER_TASK", get_args(Task))
    manifest = environment.get("MEDIABROKER_MANIFEST", "")
    if not manifest:
        raise InvalidJobError("MEDIABROKER_MANIFEST is not set; it names the job's manifest, as s3://bucket/key")
    threads = _number(environment, "MEDIABROKER_THREADS", 0)
    scratch = environment.get("MEDIABROKER_SCRATCH") or f"{tempfile.gettempdir()}/mediabroker-worker-{os.getuid()}"
    index = _number(environment, "AWS_BATCH_JOB_ARRAY_INDEX", None if task == "slice" else 0)
    return Order(
        task=cast("Task", task),
        manifest=MediaURI(manifest),
        index=index if task == "slice" else 0,
        holder=environment.get("AWS_BATCH_JOB_ID") or uuid4().hex,
        attempt=_number(environment, "AWS_BATCH_JOB_ATTEMPT", 1),
        runtime=environment.get("MEDIABROKER_RUNTIME") or "auto",
        threads=threads or None,
        scratch=Path(scratch),
        patience_s=_number(environment, "MEDIABROKER_CLAIM_PATIENCE_S", int(PATIENCE_S), least=1),
    )


def work(order: Order, tell: Tell, stop: Event) -> None:
    """Do what was ordered; why it failed is also written to the job's folder, for whoever asks for the job.

    Raises: as `neuron_worker.video.pipeline.upscale_video`, and ProviderError when the store cannot be asked now.
    """
    stores = Stores()
    try:
        worker = open_worker(order, stores, _sparingly(lambda progress: tell("progress", **progress._asdict())), stop)
        try:
            _perform(worker, order, tell)
        except BaseException as error:
            _leave_word(worker.shelf, order, error)
            raise
    finally:
        stores.close()


def open_worker(order: Order, stores: Stores, on_progress: Callable[[Progress], None], stop: Event) -> Worker:
    """The worker that an order is for.

    Raises:
        InvalidJobError: the manifest is wrong.
        ConfigurationError: the scratch folder cannot be used.
        MediaError: the manifest is not there, or may not be read.
        ProviderError: the store cannot be asked now.
    """
    manifest = load_manifest(stores, order.manifest)
    shelf = Shelf(stores, manifest.work)
    return Worker(
        stores=stores,
        manifest=manifest,
        shelf=shelf,
        claims=Claims(shelf, order.holder, patience_s=order.patience_s),
        scratch=Scratch(order.scratch),
        runtime=order.runtime,
        threads=order.threads,
        on_progress=on_progress,
        stop=stop,
    )


def end_in_time(stop: Event, ended: Event, *, grace_s: float = _GRACE_S) -> None:
    """End the process with `Exit.INTERRUPTED` if it has not `ended` so many seconds after `stop` was set.

    A request on a dead connection can take longer than whoever stops a container waits. Nothing is lost: what is
    stored appears whole or not at all, and the next attempt takes the claims over.
    """

    def watch() -> None:
        stop.wait()
        if not ended.wait(grace_s):
            os._exit(Exit.INTERRUPTED)

    Thread(target=watch, name="end in time", daemon=True).start()


def _perform(worker: Worker, order: Order, tell: Tell) -> None:
    if published := find_published(worker):
        if order.task != "slice":
            tidy(worker)
        tell("result", result=published.result.model_dump(mode="json"))
    elif order.task == "slice":
        _make_share(worker, order, tell)
    else:
        result = _publish(worker, order)
        tell("result", result=result.model_dump(mode="json"))


def _make_share(worker: Worker, order: Order, tell: Tell) -> None:
    if order.index >= worker.manifest.slice_count:
        raise InvalidJobError(f"the manifest knows {worker.manifest.slice_count} workers; this one is {order.index}")
    plan = worker.plan()
    if plan is not None:
        share = worker.manifest.share(order.index, len(plan.slices))
        if all(find_slice(worker.shelf, plan, index) for index in share):
            tell("slice", index=order.index, slices=len(share), made=0)
            return
    with worker.open(plan) as job:
        share = worker.manifest.share(order.index, len(job.plan.slices))
        tell("plan", slices=len(job.plan.slices), runtime=job.plan.runtime, variant=job.plan.variant)
        make_slices(worker, job, share)
        tell("slice", index=order.index, slices=len(share))


def _publish(worker: Worker, order: Order) -> VideoResult:
    def make_all(worker: Worker, job: Job) -> None:
        make_slices(worker, job, range(len(job.plan.slices)))
        fetch_slices(worker, job)

    result = publish(worker, worker.plan(), make_all if order.task == "single" else fetch_slices)
    tidy(worker)
    return result


def _leave_word(shelf: Shelf, order: Order, error: BaseException) -> None:
    failure = Failure(
        holder=order.holder, attempt=order.attempt, exit_code=exit_code_of(error), error=describe_failure(error)
    )
    try:
        shelf.put(error_name(order.unit), failure)
    except MediaBrokerError as second:
        _log.warning("why the work failed could not be written down: %s", second)


def _sparingly(tell: Callable[[Progress], None]) -> Callable[[Progress], None]:
    told_s = [time.monotonic()]

    def report(progress: Progress) -> None:
        if progress.frames_done == progress.frames_total or time.monotonic() - told_s[0] >= _PROGRESS_S:
            told_s[0] = time.monotonic()
            tell(progress)

    return report


def _choice(environment: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = environment.get(name, "")
    if value not in known:
        raise InvalidJobError(f"{name} is {value!r}; it must be one of {', '.join(known)}")
    return value


def _number(environment: Mapping[str, str], name: str, default: int | None, *, least: int = 0) -> int:
    text = environment.get(name, "")
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise InvalidJobError(f"{name} is {text!r}; it must be a whole number from {least} on")
    return int(text)
