"""What a worker has in hand: the request, the machine's settings, and the ways to report and to be stopped."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediabroker.jobs import JobSpec
from mediabroker.media.ffmpeg.limits import MediaLimits, ProcessLimits
from mediabroker_local.jobs.folder import JobFolder
from mediabroker_local.jobs.progress import Reporter
from mediabroker_local.options import LocalOptions

__all__ = ["BrokenOffError", "Task"]


class BrokenOffError(Exception):
    """The work broke off without a verdict; another worker shall go on. `exit_code` tells the supervisor how it was."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"the work broke off with {exit_code}")
        self.exit_code = exit_code


@dataclass(frozen=True)
class Task:
    """One job as a worker sees it. `cancel` is set when the work must stop, whoever wants it."""

    folder: JobFolder
    spec: JobSpec[Any]
    options: LocalOptions
    ffmpeg: Path | None
    media_limits: MediaLimits
    process_limits: ProcessLimits
    report: Reporter
    lock_fd: int
    """Held by whatever does the work, so that the job counts as running until the last of them is gone."""
    cancel: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def load(cls, folder: JobFolder, lock_fd: int) -> Task:
        """Read back what the transport has written."""
        document = folder.document()
        settings = document["settings"]
        return cls(
            folder=folder,
            spec=JobSpec.parse(document["spec"]),
            options=LocalOptions.model_validate(document["options"]),
            ffmpeg=Path(settings["ffmpeg"]) if settings["ffmpeg"] else None,
            media_limits=MediaLimits.model_validate(settings["media_limits"]),
            process_limits=ProcessLimits.model_validate(settings["process_limits"]),
            report=Reporter(folder),
            lock_fd=lock_fd,
        )
