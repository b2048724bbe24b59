"""A job on many machines, with a folder of this one as the store they share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from neuron_worker.document import JobDocument
from neuron_worker.fleet.tasks import Order, read_order, work
from neuron_worker.video.pipeline import upscale_video

__all__ = ["SharedJob", "upscale_directly"]

SLICE_S = 0.4


class SharedJob:
    """A manifest in `folder`/wip, and workers that obey it."""

    def __init__(self, folder: Path, source: Path, *, slice_count: int = 3, **job: Any) -> None:
        self.folder, self.source, self.output = folder, source, folder / "out.mp4"
        self.wip = folder / "wip"
        self.wip.mkdir(parents=True)
        stat = Stores().of(MediaURI(source)).stat(MediaURI(source))
        assert stat is not None
        self.manifest: dict[str, Any] = {
            "version": 1,
            "token": "t",
            "work": f"{MediaURI(self.wip)}/",
            "slice_count": slice_count,
            "source": {"size_bytes": stat.size_bytes, "version": stat.version, "duration_s": None, "width_px": 1},
            "job": {"input": str(MediaURI(source)), "output": str(MediaURI(self.output)), "slice_s": SLICE_S, **job},
        }
        (self.wip / "manifest.json").write_text(json.dumps(self.manifest))
        self.told: list[dict[str, Any]] = []

    def environment(self, task: str, index: int | None = None, **more: str) -> dict[str, str]:
        """What a container of this job finds."""
        return {
            "MEDIABROKER_TASK": task,
            "MEDIABROKER_MANIFEST": str(MediaURI(self.wip / "manifest.json")),
            "MEDIABROKER_SCRATCH": str(self.folder / "scratch"),
            "MEDIABROKER_THREADS": "2",
            "AWS_BATCH_JOB_ID": task if index is None else f"{task}:{index}",
            **({} if index is None else {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}),
            **more,
        }

    def order(self, task: str, index: int | None = None, **more: str) -> Order:
        return read_order(self.environment(task, index, **more))

    def run(self, task: str, index: int | None = None, *, stop: Event | None = None, **more: str) -> None:
        """One container, in this process."""
        work(self.order(task, index, **more), self._tell, stop or Event())

    def run_all(self) -> None:
        for index in reversed(range(self.manifest["slice_count"])):
            self.run("slice", index)
        self.run("merge")

    def names(self) -> list[str]:
        """What lies in the job's folder."""
        return sorted(path.name for path in self.wip.iterdir())

    def read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.wip / name).read_text())
        return content

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        (self.wip / name).write_text(json.dumps(content))

    def _tell(self, event: str, **content: Any) -> None:
        self.told.append({"event": event, **content})


def upscale_directly(source: Path, folder: Path, *, slice_s: float = SLICE_S, **fields: Any) -> Path:
    """What the engine itself makes of the same file."""
    folder.mkdir()
    document = JobDocument(
        input=str(source), output=str(folder / "direct.mp4"), work_dir=folder / "work", slice_s=slice_s, **fields
    )
    upscale_video(document, lambda progress: None, Event())
    return folder / "direct.mp4"
