"""The engine's way, its parts one by one, and an accelerator's. Each function prepares and returns what is timed.

Starting Python, importing, loading the network and planning are preparation, here as in `rivals`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import av

from benchmarks.engine.clip import RATE_FPS
from benchmarks.engine.order import Order
from benchmarks.engine.simulated import SimulatedAccelerator
from mediabroker.refs import MediaURI
from neuron_worker.document import JobDocument
from neuron_worker.job import Job
from neuron_worker.runtimes import Choice, Runtime, load, load_card
from neuron_worker.video.encode import SliceWriter
from neuron_worker.video.frames import FramePreparer, luma_plane
from neuron_worker.video.pipeline import merge_slices
from neuron_worker.video.slicework import upscale_slice

__all__ = ["MODEL", "PARTS", "ready_decode", "ready_encode", "ready_model", "ready_pipeline"]

MODEL = "fast"

Run = Callable[[], int]


def ready_pipeline(order: Order) -> Run:
    """The whole job: slices, one after the other, and the merge; or a part of that."""
    document = _document(order)
    job, runtime = Job.open(document, Event()), _runtime(order)
    pieces = [piece for piece in job.plan.slices if order.piece in {None, piece.index}]

    def run() -> int:
        done = [
            upscale_slice(document, job.plan, piece, runtime, job.folder, on_frame=lambda: None, stop=Event())
            for piece in pieces
        ]
        if order.merged:
            merge_slices(document, Event())
        return sum(each.frames for each in done)

    return run


def ready_model(order: Order) -> Run:
    """The bare model: all lumas are in memory, results are dropped."""
    runtime = _runtime(order)
    with av.open(str(order.clip)) as container:
        lumas = [luma_plane(frame).copy() for frame in container.decode(video=0)]
    runtime.upscale(lumas[0])

    def run() -> int:
        with ThreadPoolExecutor(runtime.workers) as pool:
            return sum(1 for _ in pool.map(lambda luma: runtime.upscale(luma).shape, lumas))

    return run


def ready_decode(order: Order) -> Run:
    """Decoding alone."""

    def run() -> int:
        with av.open(str(order.clip)) as container:
            container.streams.video[0].thread_type = "AUTO"
            return sum(1 for _ in container.decode(video=0))

    return run


def ready_encode(order: Order) -> Run:
    """Encoding alone: what the model made of the clip is in memory."""
    document = _document(order)
    job, runtime = Job.open(document, Event()), _runtime(order)
    preparer = FramePreparer(job.plan.facts, order.scale)
    with av.open(str(order.clip)) as container:
        prepared = [preparer.prepare(frame) for frame in container.decode(video=0)]
    with ThreadPoolExecutor(runtime.workers) as pool:
        lumas = list(pool.map(runtime.upscale, [luma for luma, _ in prepared]))

    def run() -> int:
        path = order.folder / "encoded.mp4"
        with SliceWriter(path, job.plan.facts, job.plan.step, document.job.encoder, order.scale) as writer:
            for (_, canvas), luma in zip(prepared, lumas, strict=True):
                writer.write(canvas, luma)
        return writer.frames

    return run


def _document(order: Order) -> JobDocument:
    return JobDocument(
        input=MediaURI(order.clip),
        output=MediaURI(order.folder / "pipeline.mp4"),
        work_dir=order.folder / "work",
        model=MODEL,
        scale=order.scale,
        runtime="onnx",
        threads=order.threads,
        slice_s=max(0.1, order.frames / RATE_FPS / order.slices),
    )


def _runtime(order: Order) -> Runtime:
    if order.rate_fps:
        return SimulatedAccelerator(order.rate_fps, order.scale)
    return load(load_card(MODEL, order.scale), Choice("onnx", order.variant), workers=order.threads)


PARTS = {"pipeline": ready_pipeline, "model": ready_model, "decode": ready_decode, "encode": ready_encode}
