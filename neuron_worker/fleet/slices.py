"""Slices that any worker makes and any other finds: first the video under its digest, then the record that names it."""

from __future__ import annotations

from collections.abc import Iterable

from mediabroker.errors import ErrorCode, MediaError
from neuron_worker.failures import heed
from neuron_worker.fleet.scratch import check_room
from neuron_worker.fleet.shelf import Shelf
from neuron_worker.fleet.worker import Worker
from neuron_worker.job import Job
from neuron_worker.progress import FrameCounter
from neuron_worker.video.plan import Plan
from neuron_worker.video.slicework import FinishedSlice, upscale_slice

__all__ = ["fetch_slices", "find_slice", "make_slices", "record_name", "slice_unit", "video_name"]

_COPIES = 2
"""Slices and the result that is made of them."""


def slice_unit(index: int) -> str:
    """The name of the work on a slice."""
    return f"slice-{index:06d}"


def record_name(index: int) -> str:
    """Where the record of a finished slice lies."""
    return f"{slice_unit(index)}.json"


def video_name(record: FinishedSlice) -> str:
    """Where its video lies, if it has one."""
    return f"{slice_unit(record.index)}-{(record.sha256 or '')[:32]}.mp4"


def find_slice(shelf: Shelf, plan: Plan, index: int) -> FinishedSlice | None:
    """The record of a finished slice of this plan.

    Raises:
        MediaError: `WORKER_CRASHED`, there is one of another plan.
    """
    record = shelf.read(record_name(index), FinishedSlice)
    if record is not None and (record.key, record.index) != (plan.key, index):
        raise MediaError(ErrorCode.WORKER_CRASHED, f"{shelf.uri(record_name(index))} belongs to another plan")
    return record


def make_slices(worker: Worker, job: Job, indices: Iterable[int]) -> None:
    """Make those of the slices that are not finished, one after the other; each is kept as soon as it is.

    Raises: as `neuron_worker.video.pipeline.upscale_video`, and ProviderError when the store cannot be asked now.
    """
    indices = list(indices)
    counter = FrameCounter(sum(job.plan.slices[index].frames for index in indices), worker.on_progress)
    runtime = None
    for index in indices:
        heed(worker.stop)
        piece = job.plan.slices[index]

        def is_done(index: int = index) -> bool:
            return find_slice(worker.shelf, job.plan, index) is not None

        with worker.claims.hold(slice_unit(index), is_done, worker.stop) as mine:
            if not mine:
                counter.skip(piece.frames)
                continue
            runtime = runtime or job.load_runtime()
            made = upscale_slice(
                job.document, job.plan, piece, runtime, job.folder, on_frame=counter.add, stop=worker.stop
            )
            _hand_over(worker, job, made)
    counter.finish()


def fetch_slices(worker: Worker, job: Job) -> None:
    """Bring all slices of the plan into the job's folder on this machine.

    Raises:
        MediaError: `OUTPUT_MISSING`, a slice is not finished, gone, or not as it was written; `OUT_OF_RESOURCES`.
        ProviderError, InterruptedWorkError.
    """
    records = []
    for piece in job.plan.slices:
        record = find_slice(worker.shelf, job.plan, piece.index)
        if record is None:
            raise MediaError(ErrorCode.OUTPUT_MISSING, f"slice {piece.index} of {len(job.plan.slices)} is not finished")
        records.append(record)
    check_room(job.root, _COPIES * sum(record.size_bytes for record in records))
    for record in records:
        heed(worker.stop)
        if job.folder.finished(record.index) == record:
            continue
        if record.sha256 is not None:
            worker.shelf.fetch(video_name(record), job.folder.video(record.index), record.sha256, worker.stop)
        job.folder.adopt(record)


def _hand_over(worker: Worker, job: Job, made: FinishedSlice) -> None:
    if made.sha256 is not None:
        worker.shelf.store(video_name(made), job.folder.video(made.index), worker.stop)
    kept = worker.shelf.keep(record_name(made.index), made)
    if kept is not None and kept.sha256 != made.sha256 and made.sha256 is not None:
        worker.shelf.delete(video_name(made))  # another worker's came first, and nothing will ever name this one
