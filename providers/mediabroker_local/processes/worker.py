"""The process that does one job: `python -m mediabroker_local.processes.worker FOLDER --lock FD`.

It ends with 0 once the job's end is written down. Any other exit means that the work broke off; the supervisor starts
it again.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mediabroker.errors import ConfigurationError, ErrorCode, JobError, MediaError
from mediabroker.results import JobResult
from mediabroker_local.jobs.folder import JobFolder
from mediabroker_local.jobs.staging import Staging
from mediabroker_local.jobs.task import BrokenOffError, Task

__all__ = ["main"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.1
_INTERRUPTED = 75
"""Temporary failure, try again. Source: sysexits.h, EX_TEMPFAIL."""
_EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.EFBIG})


def run(task: Task) -> int:
    """Do the job and write down how it ended; the exit code."""
    try:
        result = _work(task)
    except Exception as error:
        if task.cancel.is_set():
            return _stopped(task)  # whatever it was: the signal went to every process of the group
        if isinstance(error, BrokenOffError):
            return error.exit_code
        _log.exception("the job failed (job %s)", task.folder.token, extra={"job": task.folder.token})
        task.report.end(state="FAILED", phase="failed", error=_explain(error).model_dump(mode="json"))
    else:
        task.report.end(state="SUCCEEDED", phase="done", progress=1.0, result=result)
    return 0


def _work(task: Task) -> dict[str, Any]:
    output, staged = task.spec.output, task.folder.staging_path()
    if output is None or staged is None:
        return _dispatch(task, None).model_dump(mode="json")
    staging = Staging(task.folder, output.path, staged, overwrite=task.spec.overwrite)
    if (result := staging.recover()) is not None:
        return result
    staging.open()
    made = _dispatch(task, staging.target)
    task.report.phase("publishing")
    return staging.publish(made)


def _dispatch(task: Task, target: Path | None) -> JobResult:
    # Imported here: a missing package is this job's failure, with a sentence, and not a worker that cannot start.
    from mediabroker_local.kinds import WORK  # noqa: PLC0415

    return WORK[task.spec.kind](task, target)


def _stopped(task: Task) -> int:
    if not task.folder.cancel_requested():
        return _INTERRUPTED  # terminated from outside, perhaps by a shutdown: another worker goes on
    task.report.end(state="CANCELLED", phase="cancelled")
    return 0


def _explain(error: Exception) -> JobError:
    if isinstance(error, MediaError):
        return error.error
    if isinstance(error, MemoryError):
        return JobError.of(ErrorCode.OUT_OF_RESOURCES, "memory ran out")
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return JobError.of(ErrorCode.OUT_OF_RESOURCES, f"this machine has run out of something: {error.strerror}")
    if isinstance(error, ConfigurationError):
        return JobError.of(ErrorCode.UNSUPPORTED, str(error))
    if isinstance(error, ImportError):
        return JobError.of(ErrorCode.UNSUPPORTED, f"{error}; pip install 'mediabroker[local]'")
    return JobError.of(ErrorCode.PROVIDER_INTERNAL, f"{type(error).__name__}: {error}", retryable=False)


def _watch_for_cancel(task: Task, grace_s: float) -> None:
    """Stop the whole process group when somebody leaves the mark; kill it when it does not listen."""
    while not task.cancel.wait(_LOOK_S):
        if task.folder.cancel_requested():
            task.cancel.set()
            os.killpg(os.getpgrp(), signal.SIGTERM)
    time.sleep(grace_s)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mediabroker_local.processes.worker", description="Does one local job.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lock", type=int, required=True, help="descriptor of the job's lock, inherited")
    parser.add_argument("--grace-s", type=float, required=True)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    os.set_inheritable(given.lock, False)
    task = Task.load(JobFolder(given.folder), given.lock)
    os.nice(task.options.nice)
    signal.signal(signal.SIGTERM, lambda *_: task.cancel.set())
    threading.Thread(target=_watch_for_cancel, args=(task, given.grace_s), daemon=True).start()
    return run(task)


if __name__ == "__main__":
    sys.exit(main())
