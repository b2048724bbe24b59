"""One slice, from the source's packets to a finished file: decode, network and encoder at the same time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np

from mediabroker.media.publish import output_errors
from mediabroker.models import Value
from neuron_worker.document import JobDocument
from neuron_worker.runtimes import Luma, Runtime
from neuron_worker.video.conveyor import convey
from neuron_worker.video.decode import decode_slice
from neuron_worker.video.encode import SliceWriter
from neuron_worker.video.frames import Canvas, FramePreparer
from neuron_worker.video.plan import Plan, PlannedSlice
from neuron_worker.video.rgbframes import RgbPreparer
from neuron_worker.workspace import claim, durable_rename, read_record, sha256_of, write_record

__all__ = ["FinishedSlice", "SliceFolder", "upscale_slice"]

_IN_FLIGHT = 3
"""Frames under way for each worker: one in work, one waiting, one done but not yet encoded."""


class FinishedSlice(Value):
    """What is known of a finished slice; its file is in order if size and digest agree. No frames: no file."""

    key: str
    index: int
    frames: int
    first_pts: int | None
    size_bytes: int
    sha256: str | None


class SliceFolder:
    """Where the slices of one plan lie."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder, self._key = folder, key

    def video(self, index: int) -> Path:
        """The slice's file."""
        return self._folder / f"{index:06d}.mp4"

    def claim_path(self, index: int) -> Path:
        """What whoever works on the slice holds locked."""
        return self._folder / f"{index:06d}.lock"

    def remove_leftovers(self, index: int) -> None:
        """Remove what processes that were killed have left of the slice; only for whoever holds its claim."""
        for path in self._folder.iterdir():
            if re.fullmatch(rf"{index:06d}\.[0-9]+\.part", path.name):
                path.unlink(missing_ok=True)

    def finished(self, index: int) -> FinishedSlice | None:
        """The record of a slice that is finished and still as it was written."""
        record = read_record(self._record(index), FinishedSlice)
        if record is None or (record.key, record.index) != (self._key, index):
            return None
        if record.sha256 is None:
            return record
        path = self.video(index)
        if not path.is_file() or path.stat().st_size != record.size_bytes or sha256_of(path) != record.sha256:
            return None
        return record

    def finish(self, index: int, partial: Path, frames: int, first_pts: int | None) -> FinishedSlice:
        """Publish a slice: first the file, then the record that vouches for it."""
        size, digest = 0, None
        if frames:
            size, digest = partial.stat().st_size, sha256_of(partial)
            durable_rename(partial, self.video(index))
        record = FinishedSlice(
            key=self._key, index=index, frames=frames, first_pts=first_pts, size_bytes=size, sha256=digest
        )
        write_record(self._record(index), record)
        return record

    def discard(self, index: int) -> None:
        """Forget a slice: it is made again."""
        self._record(index).unlink(missing_ok=True)

    def adopt(self, record: FinishedSlice) -> None:
        """Take over a slice that another machine has made; its file already stands at `video`."""
        write_record(self._record(record.index), record)

    def _record(self, index: int) -> Path:
        return self._folder / f"{index:06d}.json"


class _Pending(NamedTuple):
    canvas: Canvas
    luma: Future[Luma]


class _Network:
    """Hands luma to the runtime; a frame equal to the one before it shares that one's result."""

    def __init__(self, runtime: Runtime, pool: ThreadPoolExecutor) -> None:
        self._runtime, self._pool = runtime, pool
        self._last: tuple[Luma, Future[Luma]] | None = None

    def submit(self, prepared: tuple[Luma, Canvas]) -> _Pending:
        luma, canvas = prepared
        if self._last is None or not np.array_equal(self._last[0], luma):
            self._last = (luma, self._pool.submit(self._runtime.upscale, luma))
        return _Pending(canvas, self._last[1])


def upscale_slice(
    document: JobDocument,
    plan: Plan,
    piece: PlannedSlice,
    runtime: Runtime,
    folder: SliceFolder,
    *,
    on_frame: Callable[[], None],
    stop: Event,
) -> FinishedSlice:
    """Make one slice, or return what is known of it if it is finished already.

    Any number of times, on any machine with the same build, the same frames come out. Nothing stands at the slice's
    name until it is whole.

    Raises:
        DuplicateWorkError: a live process is making this slice.
        InterruptedWorkError: `stop` was set; what was begun is gone.
        MediaError: `MEDIA_CORRUPT`, `MEDIA_UNSUPPORTED`, `OUT_OF_RESOURCES`.
    """
    if record := folder.finished(piece.index):
        return record
    with claim(folder.claim_path(piece.index), f"slice {piece.index}"):
        if record := folder.finished(piece.index):
            return record
        folder.remove_leftovers(piece.index)
        partial = folder.video(piece.index).with_suffix(f".{os.getpid()}.part")
        try:
            with output_errors(partial):
                frames, first = _upscale(document, plan, piece, runtime, partial, on_frame=on_frame, stop=stop)
                return folder.finish(piece.index, partial, frames, first)
        finally:
            partial.unlink(missing_ok=True)


def _upscale(
    document: JobDocument,
    plan: Plan,
    piece: PlannedSlice,
    runtime: Runtime,
    target: Path,
    *,
    on_frame: Callable[[], None],
    stop: Event,
) -> tuple[int, int | None]:
    """Write the slice's video to `target`; how many frames it has, and when the first is shown."""
    facts, job = plan.facts, document.job
    preparer = (FramePreparer if runtime.channels == 1 else RgbPreparer)(facts, job.scale)
    decoded = decode_slice(job.input.path, facts, piece, deinterlace=job.deinterlace, stop=stop)
    prepared = (preparer.prepare(frame) for frame in decoded)
    depth = _IN_FLIGHT * runtime.workers
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(runtime.workers, thread_name_prefix="upscale"))
        network = _Network(runtime, pool)
        pending = stack.enter_context(closing(convey(prepared, network.submit, depth=depth, stop=stop)))
        writer: SliceWriter | None = None
        for canvas, luma in pending:
            if writer is None:
                writer = stack.enter_context(SliceWriter(target, facts, plan.step, job.encoder, job.scale))
            writer.write(canvas, luma.result())
            on_frame()
    return (writer.frames, writer.first_pts) if writer else (0, None)
