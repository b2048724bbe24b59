"""From finished files to published ones, exactly once, whatever dies on the way.

A result is made in a folder beside the output, then written down together with the identities of its files, and only
then given its names. A worker that is started again therefore knows its own files from anybody else's.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from mediabroker.media.publish import output_errors, publish_file
from mediabroker.refs import MediaURI
from mediabroker.results import JobResult, Output
from mediabroker_local.jobs.folder import JobFolder, sync_folder, write_atomically

__all__ = ["Staging"]

_BLOCK_BYTES = 1 << 20


class Staging:
    """The way of one job's result to `output`; `folder` is where it is made."""

    def __init__(self, job: JobFolder, output: Path, folder: Path, *, overwrite: bool) -> None:
        self.folder = folder
        self.target = folder / output.name
        self._job, self._output, self._overwrite = job, output, overwrite

    def open(self) -> None:
        """An empty folder, whatever an earlier run has left.

        Raises:
            MediaError: `OUTPUT_DENIED` or `OUT_OF_RESOURCES`.
        """
        with output_errors(self._output):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(mode=0o700)
        self._job.record_path.unlink(missing_ok=True)

    def recover(self) -> dict[str, Any] | None:
        """The result of an earlier run that had finished its files; they are published now if they were not yet."""
        try:
            record = json.loads(self._job.record_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        files: dict[str, list[int]] = record["files"]
        if not all(_identity(self._final(name)) == own or self._staged(name) == own for name, own in files.items()):
            return None
        self._publish(files)
        result: dict[str, Any] = record["result"]
        return result

    def publish(self, result: JobResult) -> dict[str, Any]:
        """Give what lies in the folder its final names, and return the result that says so.

        Raises:
            MediaError: `OUTPUT_EXISTS`, `OUTPUT_DENIED`, `OUT_OF_RESOURCES`.
        """
        files = {path.name: _identity(path) for path in self.folder.iterdir()}
        content = self._renamed(result).model_dump(mode="json")
        write_atomically(self._job.record_path, {"result": content, "files": files})
        self._publish({name: identity for name, identity in files.items() if identity})
        return content

    def _publish(self, files: dict[str, list[int]]) -> None:
        # A playlist comes last, after all that it points at.
        for name in sorted(files, key=lambda each: (each == self._output.name, each)):
            if self._staged(name) != files[name]:
                continue
            if (self.folder / name).is_dir():
                with output_errors(self._final(name)):
                    (self.folder / name).rename(self._final(name))
                    sync_folder(self._output.parent)
            else:
                publish_file(self.folder / name, self._final(name), overwrite=self._overwrite)

    def _renamed(self, result: JobResult) -> JobResult:
        return result.model_copy(update={"outputs": tuple(self._described(each) for each in result.outputs)})

    def _described(self, output: Output) -> Output:
        made = output.uri.path
        final = MediaURI(self._output.parent / made.relative_to(self.folder))
        return Output(uri=final, size_bytes=made.stat().st_size, sha256=output.sha256 or _digest(made))

    def _final(self, name: str) -> Path:
        return self._output.parent / name

    def _staged(self, name: str) -> list[int] | None:
        return _identity(self.folder / name)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _identity(path: Path) -> list[int] | None:
    """What stays the same when a file is renamed, and is never the same for another one that exists."""
    with suppress(OSError):
        found = path.lstat()
        return [found.st_dev, found.st_ino]
    return None
