"""What the workers of a job share: small records and large files in the job's folder of an object store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.objects import Records
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from neuron_worker.failures import heed
from neuron_worker.workspace import durable_rename

__all__ = ["Shelf", "download", "upload"]

_CHUNK_BYTES = 1 << 20


class Shelf(Records):
    """The records and files of the folder `folder`. Thread-safe, and safe to use from any number of machines."""

    def __init__(self, stores: Stores, folder: MediaURI) -> None:
        super().__init__(stores.of(folder), str(folder))
        self._stores = stores

    def store(self, name: str, path: Path, stop: Event) -> None:
        """Store a file under a name that stands for its content: what is there already is the same."""
        uri = self.uri(name)
        self._stores.of(uri).write(uri, upload(path, stop), overwrite=True)

    def fetch(self, name: str, path: Path, sha256: str, stop: Event) -> None:
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
