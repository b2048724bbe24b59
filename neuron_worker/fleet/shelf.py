"""What the workers of a job share: small records and large files in the job's folder of an object store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from neuron_worker.failures import heed
from neuron_worker.workspace import durable_rename

__all__ = ["Shelf", "download", "upload"]

RecordT = TypeVar("RecordT", bound=BaseModel)

_CHUNK_BYTES = 1 << 20


class Shelf:
    """The folder `folder` (ending in `/`). Thread-safe, and safe to use from any number of machines."""

    def __init__(self, stores: Stores, folder: MediaURI) -> None:
        self._stores, self._folder = stores, folder

    def uri(self, name: str) -> MediaURI:
        """Where `name` lies."""
        return MediaURI(f"{self._folder}{name}")

    def read(self, name: str, kind: type[RecordT]) -> RecordT | None:
        """A record, or None where there is none.

        Raises:
            MediaError: `WORKER_CRASHED`, there is something that is no such record; or it may not be read.
            ProviderError: the store cannot be asked now.
        """
        uri = self.uri(name)
        try:
            content = b"".join(self._stores.of(uri).read(uri))
        except MediaError as error:
            if error.error.code is ErrorCode.INPUT_NOT_FOUND:
                return None
            raise
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            raise MediaError(ErrorCode.WORKER_CRASHED, f"{uri} is not what this release writes") from error

    def keep(self, name: str, record: RecordT) -> RecordT | None:
        """Store a record if there is none; the one that is there afterwards, None if it was removed just now.

        Raises: as `read`.
        """
        try:
            self._write(name, record, overwrite=False)
        except MediaError as error:
            if error.error.code is not ErrorCode.OUTPUT_EXISTS:
                raise
            return self.read(name, type(record))
        return record

    def replace(self, name: str, record: BaseModel) -> None:
        """Store a record, whether there is one or not."""
        self._write(name, record, overwrite=True)

    def delete(self, name: str) -> None:
        """Remove what is there, if anything."""
        uri = self.uri(name)
        self._stores.of(uri).delete(uri)

    def put(self, name: str, path: Path, stop: Event) -> None:
        """Store a file under a name that stands for its content: what is there already is the same."""
        uri = self.uri(name)
        self._stores.of(uri).write(uri, upload(path, stop), overwrite=True)

    def get(self, name: str, path: Path, sha256: str, stop: Event) -> None:
        """Fetch a file to `path`, where it appears when it is whole.

        Raises:
            MediaError: `OUTPUT_MISSING`, it is not there or not what it was.
            InterruptedWorkError: `stop` was set.
        """
        uri, partial = self.uri(name), path.with_suffix(".part")
        try:
            found = download(self._stores, uri, partial, stop)
        except MediaError as error:
            if error.error.code is not ErrorCode.INPUT_NOT_FOUND:
                raise
            raise MediaError(ErrorCode.OUTPUT_MISSING, f"{uri} is gone") from error
        if found != sha256:
            raise MediaError(ErrorCode.OUTPUT_MISSING, f"{uri} is not as it was written")
        durable_rename(partial, path)

    def _write(self, name: str, record: BaseModel, *, overwrite: bool) -> None:
        uri = self.uri(name)
        content = record.model_dump_json(indent=1).encode()
        self._stores.of(uri).write(uri, iter([content]), overwrite=overwrite)


def upload(path: Path, stop: Event) -> Iterator[bytes]:
    """A file in chunks.

    Raises:
        InterruptedWorkError: `stop` was set.
    """
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            heed(stop)
            yield chunk


def download(stores: Stores, uri: MediaURI, target: Path, stop: Event) -> str:
    """Append to `target` what it still lacks of an object; the digest of the whole (hex SHA-256).

    Raises:
        InterruptedWorkError: `stop` was set; what has arrived is kept.
        MediaError, ProviderError: as `ObjectStore.read`.
    """
    digest = hashlib.sha256()
    with target.open("a+b") as file:
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            heed(stop)
            digest.update(chunk)
        for chunk in stores.of(uri).read(uri, start=file.tell()):
            heed(stop)
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()
