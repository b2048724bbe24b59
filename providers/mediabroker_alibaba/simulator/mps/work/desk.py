"""What the work on one job needs at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event

from mediabroker.errors import ErrorCode, MediaError
from mediabroker_alibaba.simulator.mps.checks import OSS_URL
from mediabroker_alibaba.simulator.mps.jobs import Job, Place
from mediabroker_alibaba.simulator.seams import Objects

__all__ = ["Desk"]


@dataclass(frozen=True)
class Desk:
    """One job, its input as a file, a folder of its own, and the way to the objects of its account."""

    job: Job
    source: Path
    folder: Path
    objects: Objects
    stop: Event
    ffmpeg: Path | None = None

    @property
    def target(self) -> Place:
        """Where the job's outputs go.

        Raises:
            MediaError: `INVALID_SPEC` for a job without an output.
        """
        if self.job.output is None:
            raise MediaError(ErrorCode.INVALID_SPEC, "Output: this function writes files and needs one")
        return self.job.output

    def fetch(self, reference: str) -> Path:
        """A second input, by its `oss://` URL, as a file.

        Raises:
            MediaError: `INVALID_SPEC` for what is no such URL.
            StorageRefusedError: there is no such object.
        """
        matched = OSS_URL.fullmatch(reference)
        if matched is None:
            raise MediaError(ErrorCode.INVALID_SPEC, f"{reference} is no oss://bucket.oss-region.aliyuncs.com/key")
        path = self.folder / f"second{PurePosixPath(matched['key']).suffix}"
        self.objects.fetch(self.job.account, matched["bucket"], matched["key"], path)
        return path

    def store(self, key: str, path: Path) -> None:
        """Make a file an object in the output's bucket."""
        self.objects.store(self.job.account, self.target.bucket, key, path)
