"""A job in this process, and ways to look at what came out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mediabroker.results import VideoResult
from neuron_worker.document import JobDocument
from neuron_worker.video.pipeline import upscale_video

Upscale = Callable[..., VideoResult]


@pytest.fixture
def describe(tmp_path: Path) -> Callable[..., JobDocument]:
    """A job document with a work folder of its own; `source` and `output` are paths."""

    def build(source: Path, output: Path | None = None, **fields: Any) -> JobDocument:
        fields = {"work_dir": tmp_path / "work", "threads": 2, **fields}
        return JobDocument(input=str(source), output=str(output or tmp_path / "out.mp4"), **fields)

    return build


@pytest.fixture
def upscale(describe: Callable[..., JobDocument]) -> Upscale:
    """Run a job to its end in this process."""

    def run(source: Path, output: Path | None = None, **fields: Any) -> VideoResult:
        return upscale_video(describe(source, output, **fields), lambda progress: None, Event())

    return run
