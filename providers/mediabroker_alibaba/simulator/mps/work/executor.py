"""The executor that really does the jobs: input from the simulated OSS, work with ffmpeg, output back to OSS.

What needs the vendor's trained models fails with the code `NotSimulated` instead of pretending.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from threading import Event
from typing import TypeAlias

from mediabroker.errors import ErrorCode, MediaError
from mediabroker_alibaba.simulator.mps.jobs import Job, Kind, Outcome
from mediabroker_alibaba.simulator.mps.work.desk import Desk
from mediabroker_alibaba.simulator.mps.work.looks import look, shoot
from mediabroker_alibaba.simulator.mps.work.production import produce
from mediabroker_alibaba.simulator.mps.work.transcodes import convert
from mediabroker_alibaba.simulator.seams import Objects, StorageRefusedError

__all__ = ["MediaExecutor"]

_log = logging.getLogger(__name__)

_Work: TypeAlias = Callable[[Desk], Outcome]
_WORKS: Mapping[Kind, _Work] = {"production": produce, "transcode": convert, "snapshot": shoot, "media_info": look}
_CODES = {
    ErrorCode.INVALID_SPEC: "InvalidParameter",
    ErrorCode.UNSUPPORTED: "NotSimulated",
    ErrorCode.MEDIA_UNSUPPORTED: "InvalidParameter.ResourceNotSupported",
    ErrorCode.MEDIA_CORRUPT: "InvalidParameter.ResourceContentBad",
    ErrorCode.INPUT_NOT_FOUND: "InvalidParameter.ResourceNotFound",
}
"""Ours to the vendor's; the rest is an `InternalError`."""


class MediaExecutor:
    """Works in threads, with one ffmpeg child each.

    Args:
        parallel: jobs at a time; the others are running as far as anybody can see, and wait.
        ffmpeg: the binary; None finds one.
    """

    def __init__(self, objects: Objects, *, parallel: int = 2, ffmpeg: Path | None = None) -> None:
        self._objects, self._ffmpeg = objects, ffmpeg
        self._stop = Event()
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="simulated MPS")

    def start(self, job: Job) -> Future[Outcome]:
        return self._pool.submit(self._perform, job)

    def close(self) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def _perform(self, job: Job) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="simulated-mps-") as name:
            folder = Path(name)
            assert job.input is not None
            try:
                source = folder / f"input{PurePosixPath(job.input.key).suffix}"
                self._objects.fetch(job.account, job.input.bucket, job.input.key, source)
                return _WORKS[job.kind](Desk(job, source, folder, self._objects, self._stop, self._ffmpeg))
            except StorageRefusedError as error:
                missing = error.code == "NoSuchKey"
                code = "InvalidParameter.ResourceNotFound" if missing else "PermissionDenied.ResourceAccess"
                return Outcome(code, error.message)
            except MediaError as error:
                return Outcome(_CODES.get(error.error.code, "InternalError"), str(error).replace(name, ""))
