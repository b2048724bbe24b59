"""The names of outputs: placeholders filled in.

Source: SubmitIProductionJob, `Output`; SubmitJobs, `OutputObject`; SubmitSnapshotJob, `Object`. The vendor does not say
whether `{source}` has the input's ending; here it has not. Numbers have five digits, as in the vendor's samples.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path, PurePosixPath

__all__ = ["KeyNamer", "count_key"]


class KeyNamer:
    """Names the files of one smart-production job, and remembers the object that each file will be."""

    def __init__(self, pattern: str, source_key: str, at: datetime, folder: Path) -> None:
        self._pattern, self._source, self._at, self._folder = pattern, PurePosixPath(source_key), at, folder
        self._keys: dict[Path, str] = {}

    def __call__(self, sequence_id: int, suffix: str, result_type: str | None = None, /) -> Path:
        """A path in the work folder with the ending that the caller of the job chose; see `OutputNamer`."""
        key = (
            self._pattern.replace("{source}", self._source.stem)
            .replace("{timestamp}", str(int(self._at.timestamp())))
            .replace("{sequenceId}", f"{sequence_id:05d}")
            .replace("{resultType}", result_type or suffix.removeprefix("."))
        )
        path = self._folder / f"{sequence_id}{PurePosixPath(key).suffix or suffix}"
        self._keys[path] = key
        return path

    def key_of(self, path: Path) -> str:
        """The object that a file becomes. Without `{sequenceId}` several files become one, and the last one stays."""
        return self._keys[path]


def count_key(pattern: str, number: int) -> str:
    """The key of one snapshot, counted from 1."""
    return pattern.replace("{Count}", f"{number:05d}")
