"""The whole job: plan, slices, merge, publish; each step finds what an earlier run has finished."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.publish import check_output, output_errors, publish_file, workplace
from mediabroker.models import Value
from mediabroker.results import Output, VideoResult
from neuron_worker.document import JobDocument
from neuron_worker.failures import heed
from neuron_worker.job import Job, source_of
from neuron_worker.progress import FrameCounter, Progress
from neuron_worker.runtimes import Runtime
from neuron_worker.video.containers import container_of
from neuron_worker.video.merge import merge, verify_merged
from neuron_worker.video.plan import Plan, PlannedSlice, Source
from neuron_worker.video.slicework import FinishedSlice, upscale_slice
from neuron_worker.video.source import SourceWatch
from neuron_worker.workspace import claim, read_record, sha256_of, write_record

__all__ = ["make_slice", "merge_and_publish", "merge_slices", "plan_job", "upscale_video"]

_RESULT = "result.json"


class _Done(Value):
    """Written when the result is complete, before it is published; with the output it proves that the job is done."""

    document: str
    source: Source
    result: VideoResult


def plan_job(document: JobDocument, stop: Event) -> Plan:
    """Make the plan, or read the one that an earlier run has stored.

    Raises:
        MediaError: the source cannot be upscaled as asked, or the output cannot be written.
        ConfigurationError: the model or the runtime cannot be used here.
    """
    return Job.open(document, stop).plan


def make_slice(
    document: JobDocument, index: int, *, on_progress: Callable[[Progress], None], stop: Event
) -> FinishedSlice | None:
    """Make one slice of the job's plan; None if the plan has no such slice, which is no error: plans made from a
    header's duration may count one more.

    Raises: as `upscale_video`.
    """
    watch = SourceWatch(document.job.input.path)
    job = Job.open(document, stop)
    if index >= len(job.plan.slices):
        return None
    piece = job.plan.slices[index]
    counter = FrameCounter(piece.frames, on_progress)
    record = _made(job, piece, job.load_runtime(), watch, on_frame=counter.add, stop=stop)
    counter.finish()
    return record


def merge_slices(document: JobDocument, stop: Event) -> VideoResult:
    """Merge the finished slices of the job's plan and publish the result.

    Raises: as `upscale_video`.
    """
    began = time.monotonic()
    if done := _finished_before(document, stop):
        return done
    watch = SourceWatch(document.job.input.path)
    job = Job.open(document, stop)
    with claim(job.root / "merge.lock", f"the merge of {document.job.output}"):
        return merge_and_publish(job, watch, began, stop)


def upscale_video(
    document: JobDocument,
    on_progress: Callable[[Progress], None],
    stop: Event,
    *,
    on_plan: Callable[[Plan], None] | None = None,
) -> VideoResult:
    """Upscale a video. Called again with the same document after any interruption, it goes on where it was.

    Args:
        document: what to do.
        on_progress: called at most four times a second, in this thread.
        stop: set it from another thread or a signal handler to end the work within a few seconds.
        on_plan: called once, before the first progress.

    Raises:
        InterruptedWorkError: `stop` was set; finished slices are kept in `work_dir`.
        DuplicateWorkError: a live process is working on this job.
        MediaError: the input cannot be processed, or the output not be written; its `error` says why.
        ConfigurationError: the model or the runtime cannot be used here.
    """
    began = time.monotonic()
    if done := _finished_before(document, stop):
        return done
    watch = SourceWatch(document.job.input.path)
    job = Job.open(document, stop)
    with claim(job.root / "job.lock", f"the job in {document.work_dir}"):
        if on_plan is not None:
            on_plan(job.plan)
        runtime = job.load_runtime()
        counter = FrameCounter(job.plan.frames, on_progress)
        for piece in job.plan.slices:
            heed(stop)
            if job.folder.finished(piece.index):
                counter.skip(piece.frames)
                continue
            _made(job, piece, runtime, watch, on_frame=counter.add, stop=stop)
        counter.finish()
        return merge_and_publish(job, watch, began, stop)


def merge_and_publish(job: Job, watch: SourceWatch, began: float, stop: Event) -> VideoResult:
    """Merge the finished slices in the job's folder and publish the result; the caller holds the job or its merge.

    `watch` was made before the source was read for the plan; `began` is when that was, on the monotonic clock.

    Raises: as `upscale_video`.
    """
    document, output = job.document, job.document.job.output.path
    muxer = container_of(output)
    check_output(output, overwrite=document.job.overwrite, source=document.job.input.path)
    with workplace(output) as place:
        partial = place / f"merged{output.suffix}"
        with output_errors(output):
            times = merge(job.plan, document.job.input.path, job.folder, partial, like=output, stop=stop)
        verify_merged(job.plan, partial, times, muxer)
        watch.check()  # what stands beside the picture comes from the source, too
        result = _describe(job, partial, times, began)
        write_record(
            document.work_dir / _RESULT, _Done(document=document.digest(), source=job.plan.source, result=result)
        )
        publish_file(partial, output, overwrite=document.job.overwrite)
    if not document.job.debug:
        shutil.rmtree(job.root, ignore_errors=True)
    return result


def _made(
    job: Job, piece: PlannedSlice, runtime: Runtime, watch: SourceWatch, *, on_frame: Callable[[], None], stop: Event
) -> FinishedSlice:
    """The slice, made or found; not if the source was another one by then."""
    record = upscale_slice(job.document, job.plan, piece, runtime, job.folder, on_frame=on_frame, stop=stop)
    try:
        watch.check()
    except MediaError:
        job.folder.discard(piece.index)
        raise
    return record


def _describe(job: Job, merged: Path, times: list[int], began: float) -> VideoResult:
    facts, scale = job.plan.facts, job.document.job.scale
    last_s = (times[-1] - times[0]) * facts.tick_s
    step_s = job.plan.last_ticks * facts.tick_s
    if not step_s:
        step_s = last_s / (len(times) - 1) if len(times) > 1 else 1 / facts.rate
    return VideoResult(
        outputs=(Output(uri=job.document.job.output, size_bytes=merged.stat().st_size, sha256=sha256_of(merged)),),
        width_px=facts.width_px * scale,
        height_px=facts.height_px * scale,
        duration_s=round(float(last_s + step_s), 6),
        frame_count=len(times),
        frame_rate=f"{facts.frame_rate[0]}/{facts.frame_rate[1]}",
        elapsed_s=round(time.monotonic() - began, 3),
    )


def _finished_before(document: JobDocument, stop: Event) -> VideoResult | None:
    """The result of an earlier run, if its output is still there and the source has not changed.

    The source itself may be gone: whoever started the job may have removed it, and the result needs it no more.
    """
    done = read_record(document.work_dir / _RESULT, _Done)
    if done is None or done.document != document.digest():
        return None
    published, output = done.result.outputs[0], document.job.output.path
    if not output.is_file() or output.stat().st_size != published.size_bytes or sha256_of(output) != published.sha256:
        return None
    if document.job.input.path.is_file() and source_of(document.job.input.path, stop) != done.source:
        raise MediaError(ErrorCode.INPUT_CHANGED, f"{document.job.input.path} has changed since the job was done")
    return done.result
