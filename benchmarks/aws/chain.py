"""The Batch chain on the simulators beside the engine on the same file, and what a worker's memory is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.aws.finding import Finding, Setting, run_child, spending
from benchmarks.engine.clip import RATE_FPS, find_source, make_clip
from mediabroker import Broker, SuperResolution
from mediabroker.config import BrokerSettings
from mediabroker.refs import MediaURI
from mediabroker.results import VideoResult
from mediabroker.storage import Stores
from mediabroker_aws import BatchProvider
from mediabroker_aws.simulator.sandbox import AwsSandbox

__all__ = ["chain", "memory"]

_GOAL = 1.15
_LIMIT_S = 3600.0
_MEMORY_FRAMES = 24
_TOKEN = "memory"


def chain(setting: Setting) -> Iterator[Finding]:
    """A clip in slices through broker, Batch, S3 and one worker at a time, beside the engine on the same file."""
    folder = setting.fresh("chain")
    width, frames = setting.height_px * 16 // 9 // 2 * 2, setting.seconds * RATE_FPS
    clip = make_clip(find_source(), folder / "clip.mp4", width=width, height=setting.height_px, frames=frames)
    slice_s = setting.seconds / setting.slices
    document = folder / "job.json"
    document.write_text(
        json.dumps(
            {
                "input": str(clip),
                "output": str(folder / "direct.mp4"),
                "work_dir": str(folder / "work"),
                "slice_s": slice_s,
            }
        )
    )
    direct = run_child(
        [sys.executable, "-m", "neuron_worker", "run", str(document)], dict(os.environ), folder / "direct.log"
    )
    with _account(folder / "aws") as (sandbox, stores):
        stores.copy(MediaURI(clip), MediaURI("s3://media/clip.mp4"))
        with _broker(sandbox, folder) as broker, spending() as spent:
            spec = SuperResolution(input="s3://media/clip.mp4", output="s3://media/out.mp4", slice_s=slice_s)
            result = broker.run(spec, timeout=_LIMIT_S)
            chained = spent()
        _check(result, stores, folder, frames)
    workers = setting.slices + 1
    yield Finding(
        f"chain, {setting.seconds} s of {width}x{setting.height_px} in {setting.slices} slices",
        {"engine": direct, "chain": chained},
        chained.wall_s / direct.wall_s,
        chained.cpu_s / direct.cpu_s,
        _GOAL,
        f"{(chained.cpu_s - direct.cpu_s) / workers:.1f} s of processor time more for each of {workers} workers",
    )


def memory(setting: Setting) -> Iterator[Finding]:
    """The most memory that a worker took: 1080p in, twice as large out."""
    folder = setting.fresh("memory")
    clip = make_clip(find_source(), folder / "clip.mp4", width=1920, height=1080, frames=_MEMORY_FRAMES)
    with _account(folder / "aws") as (_, stores):
        uri, work = MediaURI("s3://media/clip.mp4"), f"s3://media/wip/{_TOKEN}/"
        stat = stores.copy(MediaURI(clip), uri)
        manifest = {
            "version": 1,
            "token": _TOKEN,
            "work": work,
            "slice_count": 2,
            "source": {"size_bytes": stat.size_bytes, "version": stat.version},
            "job": {
                "input": uri,
                "output": "s3://media/out.mp4",
                "slice_s": _MEMORY_FRAMES / RATE_FPS / 2,
            },
        }
        where = MediaURI(f"{work}manifest.json")
        stores.of(where).write(where, iter([json.dumps(manifest).encode()]))
        runs = {}
        for task, index in (("slice", 0), ("slice", 1), ("merge", None)):
            name = task if index is None else f"{task} {index}"
            own = {} if index is None else {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}
            environment = {
                **os.environ,
                "MEDIABROKER_TASK": task,
                "MEDIABROKER_MANIFEST": str(where),
                "MEDIABROKER_SCRATCH": str(folder / "scratch"),
                **own,
            }
            command = [sys.executable, "-m", "neuron_worker", "work"]
            runs[name] = run_child(command, environment, folder / f"{name}.log")
    yield Finding("peak memory of a worker, 1920x1080 in, 3840x2160 out", runs)


@contextmanager
def _account(folder: Path) -> Iterator[tuple[AwsSandbox, Stores]]:
    folder.mkdir()
    before = dict(os.environ)
    with closing(AwsSandbox(folder)) as sandbox:
        os.environ.update(sandbox.environment)
        try:
            with closing(Stores(sandbox.settings["stores"])) as stores:
                yield sandbox, stores
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def _broker(sandbox: AwsSandbox, folder: Path) -> Iterator[Broker]:
    settings = BrokerSettings(store=f"sqlite:///{folder / 'jobs.db'}", stores=sandbox.settings["stores"])
    providers = {"aws-batch": BatchProvider("aws-batch", sandbox.settings["providers"]["aws-batch"])}
    with Broker(settings, providers=providers) as broker:
        yield broker


def _check(result: VideoResult, stores: Stores, folder: Path, frames: int) -> None:
    """Figures of different work would mean nothing."""
    stores.copy(MediaURI("s3://media/out.mp4"), MediaURI(folder / "chained.mp4"))
    if (folder / "chained.mp4").read_bytes() != (folder / "direct.mp4").read_bytes() or result.frame_count != frames:
        raise RuntimeError("chain and engine made different files")
