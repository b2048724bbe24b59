"""Super-resolution: runs the engine as a child, and tells its words on to whoever asks for the job.

python -m neuron_worker run DOCUMENT
<- {"event": "plan", "slices": 3, "frames": 150}
<- {"event": "progress", "frames_done": 40, "frames_total": 150, "fps": 12.5}
<- {"event": "result", "result": {...}}  or  {"event": "error", "error": {...}}
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mediabroker.errors import ErrorCode, JobError, MediaError
from mediabroker.jobs import SuperResolution
from mediabroker.refs import MediaURI
from mediabroker.results import Frames, VideoResult
from mediabroker_local.jobs.folder import write_atomically
from mediabroker_local.jobs.task import BrokenOffError, Task

__all__ = ["upscale"]

_log = logging.getLogger(__name__)

_LINE_LIMIT = 1 << 20
_SIGNALLED = 128
_ANOTHER_TRY = frozenset({ErrorCode.PREEMPTED, ErrorCode.WORKER_CRASHED})
"""The engine was stopped, or stumbled over itself: the next worker goes on from the slices that are finished."""


def upscale(task: Task, target: Path | None) -> VideoResult:
    """Have the engine upscale the input to `target`; what an earlier worker finished is not done again.

    Raises:
        MediaError: what the engine reports, or `CANCELLED`.
        BrokenOffError: the engine's exit code, 128 and more for a signal.
    """
    if not isinstance(task.spec, SuperResolution) or target is None:
        raise MediaError(ErrorCode.INVALID_SPEC, f"{task.spec.kind} is no super-resolution with an output")
    task.report.phase("planning")
    task.folder.work_path.mkdir(mode=0o700, exist_ok=True)
    document = task.folder.path / "engine.json"
    write_atomically(document, _build_document(task, task.spec, target))
    # From the main thread: the engine dies with the thread that started it.
    with _start(task, document) as child:
        told = _listen(task, child)
        status = child.wait()
    if isinstance(told, VideoResult):
        return told
    if told is None or told.code in _ANOTHER_TRY:
        _log.error("the engine ended with %s: %s", status, told.message if told else "it did not say why")
        raise BrokenOffError(status if status > 0 else _SIGNALLED - status)
    raise MediaError(**dict(told))


def _build_document(task: Task, spec: SuperResolution, target: Path) -> dict[str, Any]:
    job = spec.model_copy(update={"output": MediaURI(target), "overwrite": True, "labels": {}, "user_data": None})
    options = {"runtime": task.options.runtime, "threads": task.options.threads}
    return {"version": 2, "job": job.model_dump(mode="json"), "work_dir": str(task.folder.work_path), **options}


def _start(task: Task, document: Path) -> subprocess.Popen[str]:
    leash = [sys.executable, "-m", "mediabroker_local.processes.leash", str(os.getpid())]
    return subprocess.Popen(
        [*leash, "neuron_worker", "run", str(document)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        pass_fds=(task.lock_fd,),
    )


def _listen(task: Task, child: subprocess.Popen[str]) -> VideoResult | JobError | None:
    """Read the engine's words to their end; its result or its error, if it came to tell one."""
    told: VideoResult | JobError | None = None
    assert child.stdout is not None
    while line := child.stdout.readline(_LINE_LIMIT):
        told = _take(task, line) or told
    return told


def _take(task: Task, line: str) -> VideoResult | JobError | None:
    try:
        message = json.loads(line)
        event = message["event"]
    except (ValueError, KeyError, TypeError):
        _log.info("the engine said %r", line[:500])
        return None
    if event == "plan":
        task.report.phase("upscaling")
        task.report.progress(0.0, Frames(done=0, total=message["frames"]))
    elif event == "progress":
        _report(task, message)
    elif event == "result":
        return VideoResult.model_validate(message["result"])
    elif event == "error":
        return JobError.model_validate(message["error"])
    return None


def _report(task: Task, message: dict[str, Any]) -> None:
    done, total = message["frames_done"], message["frames_total"]
    task.report.phase("merging" if total and done >= total else "upscaling")
    task.report.progress(
        min(1.0, done / total) if total else None,
        Frames(done=done, total=total, per_second=message.get("fps")),
    )
