"""The source on this machine: fetched once for all workers here, resumed, and in the version that was planned for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import NamedTuple

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.refs import MediaURI
from mediabroker.storage import Stores
from neuron_worker.fleet.manifest import SourceVersion
from neuron_worker.fleet.scratch import Scratch, check_room
from neuron_worker.fleet.shelf import download
from neuron_worker.video.plan import Source
from neuron_worker.workspace import durable_rename, read_record, write_record

__all__ = ["LocalSource", "local_source"]

_FILE, _RECORD, _PARTIAL = "source", "source.json", "source.part"


class LocalSource(NamedTuple):
    """A copy that stays where it is for as long as it is worked with."""

    path: Path
    origin: Source


@contextmanager
def local_source(
    stores: Stores, scratch: Scratch, uri: MediaURI, expected: SourceVersion, stop: Event
) -> Iterator[LocalSource]:
    """The object at `uri` as a local file, under a name that tells nothing of its own.

    Raises:
        MediaError: `INPUT_CHANGED`, it is not the version that was expected; `INPUT_NOT_FOUND`, `INPUT_DENIED`;
            `OUT_OF_RESOURCES`, it does not fit on the disk.
        ProviderError: the store cannot be asked now.
        InterruptedWorkError: `stop` was set; what has arrived is kept for the next attempt.
    """
    name = "source-" + hashlib.sha256(f"{uri}\n{expected.version}".encode()).hexdigest()[:32]
    _check_version(stores, uri, expected)

    def prepare(folder: Path) -> None:
        _fetch(stores, uri, expected, folder, stop)

    with scratch.shared(name, stop, ready=lambda folder: (folder / _FILE).is_file(), prepare=prepare) as folder:
        origin = read_record(folder / _RECORD, Source)
        if origin is None:
            raise MediaError(ErrorCode.WORKER_CRASHED, f"{folder} has lost its record")
        yield LocalSource(folder / _FILE, origin)


def _fetch(stores: Stores, uri: MediaURI, expected: SourceVersion, folder: Path, stop: Event) -> None:
    partial = folder / _PARTIAL
    arrived = partial.stat().st_size if partial.exists() else 0
    if arrived > expected.size_bytes:  # whatever it is, it is not the beginning of this
        partial.unlink()
        arrived = 0
    check_room(folder, expected.size_bytes - arrived)
    digest = download(stores, uri, partial, stop)
    try:
        # Again: what was read may have been another version than the one that was looked at before.
        _check_version(stores, uri, expected)
        if partial.stat().st_size != expected.size_bytes:
            raise _changed(uri)
    except MediaError:
        partial.unlink()
        raise
    write_record(folder / _RECORD, Source(size_bytes=expected.size_bytes, sha256=digest))
    durable_rename(partial, folder / _FILE)


def _check_version(stores: Stores, uri: MediaURI, expected: SourceVersion) -> None:
    found = stores.of(uri).stat(uri)
    if found is None:
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{uri} does not exist any more")
    if (found.version, found.size_bytes) != (expected.version, expected.size_bytes):
        raise _changed(uri)


def _changed(uri: MediaURI) -> MediaError:
    return MediaError(ErrorCode.INPUT_CHANGED, f"{uri} was replaced after the job was submitted; submit it again")
